#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The command takes a device by its id, its path, links to it and the kernel's own names of it, once
# however often it is named; partitions and other block devices are refused with status 3.
#
# guest: mem=768 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need sfdisk python3

refused() # NAME WORD...: status 3 and a message with the words
{
	local name=$1 status=0 word
	shift
	refusal=$("$BDUS" info "$name" 2>&1) || status=$?
	[[ $status == 3 ]] || fail "status $status of: bdus info $name: $refusal"
	for word in "$name" "$@"; do
		[[ $refusal == *"$word"* ]] || fail "the refusal does not say $word: $refusal"
	done
}

bdus_run ram size=64M || fail 'no device'
id=${device##*-}
native=$(readlink -f "$device")
if [[ $native != /dev/ublkb* ]]; then
	native=/dev/$(basename "$(readlink -f "/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$device")")")
fi
ln -s "$device" "$work/link"
ln -s "$work/link" "$work/link-to-link"

step 'every name leads to the device'
names=("$id" "$device" "$work/link" "$work/link-to-link" "$native" "${native/ublkb/ublkc}")
for name in "${names[@]}"; do
	"$BDUS" info --json "$name" >"$work/info" || fail "no device by the name $name"
	[[ $(python3 -c 'import json, sys; d = json.load(sys.stdin)["devices"]
print(len(d), *[str(x["id"]) + x["path"] + x["native_path"] for x in d])' <"$work/info") == \
		"1 $id$device$native" ]] || fail "another device by the name $name: $(cat "$work/info")"
done
[[ $("$BDUS" info "${names[@]}" | grep -c '^path ') == 1 ]] || fail 'named often, shown often'

step 'the numbers are those of the block special file'
numbers=$("$BDUS" info "$device" | sed -n 's/^device number *//p')
[[ $numbers == $(stat -Lc '%Hr:%Lr' "$device") ]] || fail "device number $numbers"

step 'completions offer the id and the path'
for word in "$id" "$device"; do
	"$BDUS" __words devices | cut -f 1 | grep -qx "$word" || fail "no completion $word"
done

step 'what is not a device of BDUS is refused'
printf 'size=16M\n' | sfdisk -q "$device" || fail 'sfdisk'
if wait_until 5 test -b "${native}p1"; then
	refused "${native}p1" partition
fi
refused 987654321
refused /dev/null
refused "$work"
refused /dev/bdus-987654321
for other in /dev/loop0 /dev/ram0 /dev/vda /dev/nullb0; do
	[[ ! -b $other ]] || refused "$other"
done

step 'named often, it is destroyed once'
must "$BDUS" destroy "${names[@]}"
refused "$id"
refused "$device"
