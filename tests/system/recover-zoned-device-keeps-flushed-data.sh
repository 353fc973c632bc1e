#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A recoverable zoned device whose driver is killed while it is written, over and over, with an image below:
# each zone has all that was written by force unit access, its write pointer matches what can be read, and
# it can be written on from there. What was in flight is done once or fails; nothing hangs.
#
# guest: cpus=2 mem=512 timeout=90 kernels=uml
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone
rounds=4
zones=4

bdus_run --recoverable zoned path="$work/image" create=yes size=64M zone-size=4M max-active=8 || fail 'no device'
# Each block of a zone says its number in the zone and the zone's.
for zone in $(seq "$zones"); do
	perl -e 'for (0 .. 1023) { print pack("V2", $_, $ARGV[0]) x 512 }' "$zone" >"$work/content-$zone"
done

pointer() # ZONE: blocks of 4096 bytes from its start
{
	local line
	line=$(blkzone report -o $(($1 * 8192)) -c 1 "$device") || fail 'no report'
	[[ $line =~ wptr\ 0x([0-9a-f]+) ]] || fail "zone $1 is $line"
	echo $((16#${BASH_REMATCH[1]} / 8))
}

# Writes a zone on from its write pointer, up to so many blocks in all, making each part durable, and notes
# what is; ends with the first error, as a client that is told of one has to look at the zone again.
write_on() # ZONE END
{
	local zone=$1 at
	at=$(pointer "$zone")
	while ((at + 4 <= $2)); do
		dd if="$work/content-$zone" of="$device" bs=4k skip="$at" seek=$((zone * 1024 + at)) count=4 \
			oflag=direct,dsync conv=notrunc status=none 2>>"$work/errors-$zone" || return
		((at += 4))
		echo "$at" >"$work/durable-$zone"
	done
}

state()
{
	"$BDUS" info --json "$device" | grep -o '"state": *"[a-z]*"' | cut -d'"' -f4
}
is_orphaned()
{
	[[ $(state) == orphaned ]]
}

check_zone() # ZONE
{
	local zone=$1 at durable=0
	[[ -e $work/durable-$zone ]] && durable=$(<"$work/durable-$zone")
	at=$(pointer "$zone")
	((at >= durable)) || fail "zone $zone: $durable blocks were durable, its write pointer is $at"
	((at == 0)) || cmp -n $((at * 4096)) "$work/content-$zone" \
		<(dd if="$device" bs=4k skip=$((zone * 1024)) count="$at" iflag=direct status=none) ||
		fail "zone $zone: other data below the write pointer"
	[[ -z $(dd if="$device" bs=4k skip=$((zone * 1024 + at)) count=$((1024 - at)) iflag=direct status=none |
		tr -d '\0') ]] || fail "zone $zone: data behind the write pointer"
}

for round in $(seq "$rounds"); do
	writers=()
	for zone in $(seq "$zones"); do
		write_on "$zone" 1024 &
		writers+=($!)
	done
	sleep "0.$((2 + RANDOM % 5))"
	kill -KILL "$(servers)"
	wait_until 10 is_orphaned || fail "state $(state) after the kill"
	must "$BDUS" recover --quiet "$device" zoned path="$work/image"
	for ((i = 0; i < zones; i++)); do
		kill "${writers[i]}" 2>/dev/null
		wait "${writers[i]}" 2>/dev/null
	done
	for zone in $(seq "$zones"); do check_zone "$zone"; done
done
for zone in $(seq "$zones"); do
	step "zone $zone: $(cat "$work/durable-$zone" 2>/dev/null || echo 0) blocks were durable, $(pointer "$zone") are there"
done
durable=$(cat "$work"/durable-* | paste -sd+)
((durable > 0)) || fail 'nothing was written'

step 'every zone can be written on, and reset'
for zone in $(seq "$zones"); do
	before=$(pointer "$zone")
	write_on "$zone" $((before + 16))
	(($(pointer "$zone") == before + 16)) || fail "zone $zone stays: $(tail -n 1 "$work/errors-$zone")"
	check_zone "$zone"
	must blkzone reset -o $((zone * 8192)) -c 1 "$device"
done
must "$BDUS" destroy "$device"
