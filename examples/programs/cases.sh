# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# What each of the example programs has to do, whatever the way in. Who sources this has set $BDUS,
# $programs (where the objects are) and $work (a folder), and defines
#
#	serve ARGUMENT...	runs a device, which qemu-io reaches at $target
#	unserve			ends it
#	fail SENTENCE		ends the test
#
# and, where programs run within the kernel, $in_kernel as the option that says so, and redefines
#
#	serve_redirected IMAGE BYTES ARGUMENT...
#
# where a redirected request goes to a block device and nowhere else.

in_kernel=()

# A device whose program sends requests to other places of IMAGE, of BYTES.
serve_redirected()
{
	truncate -s "$2" "$1"
	serve file "path=$1" "${@:3}"
}

# io COMMAND...: qemu-io on the device; fails as the commands do.
io()
{
	local words=() command cache=none
	for command; do
		words+=(-c "$command")
	done
	# Not every file system of images can be read around its cache.
	[[ ! -f $target ]] || cache=writeback
	qemu-io -f raw -t "$cache" "${words[@]}" "$target" >"$work/io" 2>&1 &&
		! grep -Eq 'failed|error|Pattern verification' "$work/io"
}

good()
{
	io "$@" || fail "failed, but should not have: $*: $(cat "$work/io")"
}

# bad TEXT COMMAND: fails and says so.
bad()
{
	! io "$2" || fail "succeeded, but should not have: $2"
	grep -q "$1" "$work/io" || fail "$2 failed without '$1': $(cat "$work/io")"
}

# of_map MAP [KEY]: its value, as the running program has it.
of_map()
{
	"$BDUS" program map get "$device" "$@" "${in_kernel[@]}" || fail "no value of map $*"
}

set_map() # MAP KEY VALUE
{
	"$BDUS" program map set "$device" "$@" "${in_kernel[@]}" || fail "map $1 cannot be set"
}

# How many requests the program delayed.
delays()
{
	"$BDUS" program list "$device" "${in_kernel[@]}" | grep -o '"delayed":[0-9]*'
}

expect_map() # VALUE MAP KEY
{
	local value
	value=$(of_map "${@:2}")
	[[ $value == "$1" ]] || fail "map $2 has $value for $3, not $1"
}

case_rate_limit()
{
	local began elapsed before
	serve ram size=16M --filter "opvm:$programs/rate-limit.o,maps=limits:0:4M+limits:1:64K"
	began=${EPOCHREALTIME/./}
	good 'read 0 256k' 'read 256k 256k' 'write 0 256k' 'read 0 256k' 'read 1M 256k' 'write 2M 256k' \
		'read 0 256k' 'read 0 256k'
	elapsed=$(((${EPOCHREALTIME/./} - began) / 1000))
	# Seven are over before the last one begins, at 62.5 ms each, less what may be ahead.
	((elapsed >= 420)) || fail "2 MiB took $elapsed ms at 4 MiB a second"
	before=$(delays)
	[[ $before == *:[1-9]* ]] || fail "nothing was delayed: $before"
	set_map limits 0 0
	good 'read 0 8M' 'read 0 8M' 'read 0 8M'
	[[ $(delays) == "$before" ]] || fail "delayed without a limit: $before, then $(delays)"
	unserve
}

case_read_only_window()
{
	serve ram size=16M --filter "opvm:$programs/read-only-window.o,maps=window:0:1M+window:1:2M"
	good 'write -P 1 0 1M' 'write -P 2 2M 1M' 'read -P 0 1M 1M'
	bad 'not permitted\|Input/output error' 'write -P 3 1023k 2k'
	bad 'not permitted\|Input/output error' 'write -P 3 2047k 1k'
	good 'read -P 1 0 1M' 'read -P 0 1M 1M' 'read -P 2 2M 1M'
	unserve
}

case_latency_histogram()
{
	local bucket
	serve ram size=16M --filter \
		"opvm:$programs/latency-histogram.o,name=serve,completion=back" --filter delay:write=20ms
	good 'write 0 4k' 'write 4k 4k' 'write 8k 4k' 'read 0 4k' 'flush'
	# 2^24 ns to 2^25 ns are 17 ms to 34 ms; on a busy machine it may be more.
	bucket=$(of_map writes | tr -d '[]' | tr ',' '\n' | awk '{ if (NR > 24) n += $1; else if ($1) exit 1 }
		END { print n }') || fail "a write took less than 17 ms: $(of_map writes)"
	[[ $bucket == 3 ]] || fail "$bucket writes were counted: $(of_map writes)"
	(($(of_map reads | tr -d '[]' | tr ',' '+') >= 1)) || fail "no read was counted: $(of_map reads)"
	unserve
}

case_fault_injection()
{
	serve ram size=16M --filter "opvm:$programs/fault-injection.o,maps=bad:2048:5+bad:4096:28"
	good 'write -P 5 0 1M' 'read 0 1M' 'read 1025k 900k' 'read -P 5 0 1M'
	bad 'Input/output error' 'read 1M 512'
	bad 'Input/output error' 'read 1020k 8k'
	bad 'No space left' 'write 2M 4k'
	set_map bad 32 5
	bad 'Input/output error' 'read 16k 512'
	unserve
}

case_stripe_map()
{
	local i
	serve_redirected "$work/image" 4M --filter \
		"opvm:$programs/stripe-map.o,maps=geometry:0:4+geometry:1:64K"
	for i in 0 1 2 3 4 5 6 7; do
		good "write -P $((i + 1)) $((i * 64))k 64k"
	done
	good 'write -P 77 1001k 300k' 'read -P 77 1001k 300k' 'read -P 3 128k 64k' 'flush'
	unserve
	# Stripe i lies in column i % 4, which has 1 MiB, as number i / 4.
	target=$work/image
	for i in 0 1 2 3 4 5 6 7; do
		# shellcheck disable=SC2017
		good "read -P $((i + 1)) $((i % 4 * 1024 + i / 4 * 64))k 64k"
	done
}

case_hot_cold()
{
	serve ram size=1G --filter "opvm:$programs/hot-cold.o"
	good 'write 5M 64k' 'write 5M 64k' 'read 700M 4k'
	# Parts of 1 GiB / 1024 + 1 bytes.
	expect_map 131072 bytes_written 4
	(($(of_map bytes_read 699) >= 4096)) || fail "$(of_map bytes_read 699) bytes read at 700M"
	expect_map 0 bytes_written 600
	unserve
}

case_protect_partition_table()
{
	serve ram size=16M --filter "opvm:$programs/protect-partition-table.o"
	bad 'not permitted\|Input/output error' 'write 0 512'
	bad 'not permitted\|Input/output error' 'write 16k 4k'
	bad 'not permitted\|Input/output error' 'write 16760320 512'
	good 'write -P 9 17408 4k' 'write -P 9 16756224 4096' 'read 0 17408'
	set_map unlocked 0 1
	good 'write -P 9 0 512' 'read -P 9 0 512'
	unserve
}

# What is written goes to the second half of the image.
copy_on_write_to_half()
{
	local more="name=serve,completion=back,size=4M"
	serve file "path=$work/image" --filter "opvm:$programs/copy-on-write.o,$more"
	good 'read -P 17 0 4M' 'write -P 34 1M 64k' 'write -P 51 1100k 5k' 'read -P 34 1M 64k' \
		'read -P 17 1000k 24k' 'read -P 17 1088k 12k' 'read -P 51 1100k 5k' 'read -P 17 1105k 900k'
	good 'write -z 2M 300k' 'read -P 0 2M 300k' 'read -P 17 2348k 100k' 'flush'
	bad 'Input/output error\|beyond\|Invalid\|space' 'write 5M 4k'
	unserve
	cmp -n 4194304 "$work/image" "$work/before" || fail 'the first half was changed'
	serve file "path=$work/image" --filter "opvm:$programs/copy-on-write.o,$more"
	good 'read -P 17 0 4M'
	unserve
}

case_copy_on_write()
{
	rm -f "$work/image" "$work/overlay"
	truncate -s 8M "$work/image"
	target=$work/image
	good 'write -P 17 0 4M'
	cp "$work/image" "$work/before"
	[[ ${in_kernel[*]} ]] || copy_on_write_to_half
	# The same with a file of its own for what is written.
	truncate -s 8M "$work/overlay"
	cp "$work/image" "$work/before"
	serve file "path=$work/image" --backend "file:path=$work/overlay" \
		--filter "opvm:$programs/copy-on-write.o,name=serve,completion=back"
	good 'read -P 17 0 4M' 'write -P 68 5M 64k' 'write -P 85 1100k 5k' 'flush' 'read -P 68 5M 64k' \
		'read -P 17 1000k 100k' 'read -P 85 1100k 5k' 'read -P 17 1105k 900k'
	unserve
	cmp "$work/image" "$work/before" || fail 'what lies below the overlay was changed'
	target=$work/overlay
	good 'read -P 68 5M 64k' 'read -P 85 1100k 5k'
}

all_programs='rate-limit read-only-window latency-histogram fault-injection stripe-map hot-cold
protect-partition-table copy-on-write'

run_cases()
{
	local program
	for program in $all_programs; do
		[[ -f $programs/$program.o ]] || fail "$program was not compiled"
		echo "-- $program ${way:-}"
		"case_${program//-/_}"
	done
}
