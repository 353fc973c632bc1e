#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A conventional device on a zoned one: what fio writes, several times over what there is room for, is
# there when it is compared, after an orderly end, and after a kill as far as it was flushed; `bdus info`
# shows how much garbage collection that took. What does not belong together is refused by name.
. "$(dirname "$0")/lib.sh"
need fio qemu-io

zoned=(zoned "path=$dir/image" create=yes size=48M zone-size=1M conventional=2 max-open=3 max-active=4)
map=$dir/map

fold() # WORDS...: the filter's words beside the map
{
	local IFS=,
	echo "--filter" "zonefold:$*"
}

write_and_verify() # ARGUMENT...
{
	fio --name=verified --ioengine=nbd --uri="$uri" --iodepth=16 --bs=4k --size=30M --verify=crc32c \
		--verify_state_save=0 --randseed=7 --output="$dir/fio" "$@" || fail "$(cat "$dir/fio")"
}

status() # MEMBER
{
	"$BDUS" info "$uri" | sed -n "s/^  $1  *//p"
}

step 'written over, with garbage collected'
# shellcheck disable=SC2046
serve $(fold map="$map" create=yes reserve=0) "${zoned[@]}"
write_and_verify --rw=write
write_and_verify --rw=randwrite --io_size=60M --norandommap --do_verify=0 --fsync=500
write_and_verify --rw=randwrite
(($(status 'collected zones') > 0)) || fail "nothing was collected: $("$BDUS" info "$uri")"
[[ $(status 'write amplification') == [1-9].[0-9]* ]] || fail "$("$BDUS" info "$uri")"
(($(status 'written blocks') >= 7680 * 4)) || fail "$("$BDUS" info "$uri")"
step "$("$BDUS" info "$uri" | grep -E 'amplif|collected|resets' | tr -s ' \n' ' ')"
stop

step 'after an orderly end'
# shellcheck disable=SC2046
serve $(fold map="$map") "${zoned[@]}"
write_and_verify --rw=randwrite --verify_only
step 'after a kill'
qemu-io -f raw -c 'write -P 0x5a 1M 64k' -c flush -c 'write -P 0x5b 2M 64k' "$uri" >/dev/null ||
	fail 'cannot write'
cp "$dir/image" "$dir/image.old"
kill -KILL "$server"
wait "$server" 2>/dev/null
server=
# shellcheck disable=SC2046
serve $(fold map="$map") "${zoned[@]}"
qemu-io -r -f raw -c 'read -P 0x5a 1M 64k' "$uri" | grep -q 'verification failed' && fail 'what was flushed is lost'
stop
cp "$map" "$dir/map.old"

step 'what does not belong together is refused, and nothing is changed'
# Behind what the driver notes of its own.
data()
{
	tail -c +1048577 "$dir/image" | sha256sum
}
before=$(data)
refused_with() # PATTERN DRIVER... -- FILTER-WORDS...
{
	local pattern=$1 driver=()
	shift
	while [[ $1 != -- ]]; do
		driver+=("$1")
		shift
	done
	shift
	# shellcheck disable=SC2046
	refused "$pattern" timeout 20 "$BDUS" run -f -t "nbd,socket=$socket" $(fold "$@") "${driver[@]}"
}
refused_with 'has no zones' ram size=64M -- map="$dir/other" create=yes
refused_with 'at least 8' zoned size=16M zone-size=4M -- map="$dir/other" create=yes
refused_with 'max_active_zones 1' zoned size=64M zone-size=1M max-active=1 -- map="$dir/other" create=yes
refused_with 'nothing would be left' zoned size=10M zone-size=1M -- map="$dir/other" create=yes reserve=80
refused_with 'cannot be opened' "${zoned[@]}" -- map="$dir/none"
refused_with 'of another device' zoned size=64M zone-size=1M -- map="$map"
refused_with 'belongs to another map' "${zoned[@]}" -- map="$dir/fresh" create=yes
rm -f "$dir"/fresh*
head -c 8K /dev/urandom >"$dir/garbage"
refused_with 'no map' "${zoned[@]}" -- map="$dir/garbage"
head -c 4K "$map" >"$dir/short"
refused_with 'truncated' "${zoned[@]}" -- map="$dir/short"
[[ $(data) == "$before" ]] || fail 'a refusal changed the image'
step 'an old copy of the map, and one of the device'
# shellcheck disable=SC2046
serve $(fold map="$map") "${zoned[@]}"
write_and_verify --rw=randwrite --do_verify=0
stop
refused_with 'old copy' "${zoned[@]}" -- map="$dir/map.old"
mv "$dir/image" "$dir/image.new"
mv "$dir/image.old" "$dir/image"
refused_with 'old copy|another device' "${zoned[@]}" -- map="$map"
mv "$dir/image.new" "$dir/image"
# shellcheck disable=SC2046
serve $(fold map="$map") "${zoned[@]}"
write_and_verify --rw=randwrite --verify_only
stop
