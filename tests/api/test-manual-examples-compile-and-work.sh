#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page is complete: it is taken out of the page, compiled without a warning,
# and run as the page says.
#
# usage: test-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT BDUS
set -eu

root=$1
build=$2
bdus=$3
# shellcheck source=tests/api/lib.sh
. "$root/tests/api/lib.sh"
need nbdcopy
need pkg-config

mib=1048576
head -c $mib /dev/urandom >"$dir/data"
head -c $mib /dev/zero >"$dir/zeros"

# display NUMBER PAGE: of its EXAMPLES
display() {
	awk -v wanted="$1" '/^\.Sh/ { inside = /EXAMPLES/ }
		inside && /^\.Bd -literal/ { shown = ++count; next }
		/^\.Ed/ { shown = 0 } inside && shown == wanted' "$root/docs/man/$2" |
		sed 's/\\e/\\/g'
}

# extract PAGE [NUMBER]: the first display in its EXAMPLES, or another, to $dir/NAME.c
extract() {
	display "${2:-1}" "$1" >"$dir/${1%.*}.c"
	[ -s "$dir/${1%.*}.c" ] || fail "$1 has no example"
}

program() {
	extract "$1"
	compile "$dir/${1%.*}" "$dir/${1%.*}.c" -std=gnu17
}

# driver PAGE [NUMBER]
driver() {
	extract "$@"
	# shellcheck disable=SC2046
	compile "$dir/${1%.*}.so" "$dir/${1%.*}.c" -std=gnu17 -shared -fPIC -Wl,--no-as-needed \
		$(pkg-config --cflags --libs uthread-asys)
}

# A driver with a description of its ioctls before it.
described_driver() {
	display 1 "$1" >"$dir/adder.wire"
	"$build/wire/compiler/wirec" -o "$dir" "$dir/adder.wire" || fail 'the description is refused'
	"$build/wire/compiler/wirec" --ioctls -o "$dir" "$dir/adder.wire" || fail 'its ioctls are'
	driver "$1" 2
}

# refuses WORD PROGRAM [ARGUMENT]...: fails with a sentence that has WORD in it.
refuses() {
	word=$1
	shift
	status=0
	"$@" >"$dir/stdout" 2>"$dir/stderr" || status=$?
	[ $status = 1 ] || [ $status = 2 ] || fail "$* ended with status $status"
	grep -q "$word" "$dir/stderr" || fail "$* does not mention $word"
}

page_bdus_run() {
	serve "$dir/bdus_run"
	expect_size $((64 * mib))
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/zeros"
	stop
}

page_bdus_ops() {
	serve "$dir/bdus_ops"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
	grep -qF " is at $uri" "$dir/stdout" || fail "announced as $(cat "$dir/stdout")"
	grep -Eq '^[1-9][0-9]* reads$' "$dir/stdout" || fail "reads not counted"
}

page_bdus_attrs() {
	"$dir/bdus_attrs" >"$dir/stdout" 2>"$dir/stderr" || fail "status $?"
	grep -qx 'physical_block_size 512' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -qx 'max_concurrent_callbacks 1' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -qx 'max_write_zeros_size 0' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -q 'logical_block_size.*1000\|1000.*logical_block_size' "$dir/stdout" ||
		fail "no word about logical_block_size"
}

page_BDUS_RESTRICT() {
	serve "$dir/BDUS_RESTRICT"
	expect_data "$dir/zeros"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
}

page_bdus_get_dev_id_from_path() {
	refuses /dev/null "$dir/bdus_get_dev_id_from_path" /dev/null
	refuses /nowhere "$dir/bdus_get_dev_id_from_path" /nowhere
}

page_bdus_flush_dev() {
	refuses /dev/null "$dir/bdus_flush_dev" /dev/null
}

page_bdus_destroy_dev() {
	refuses /dev/null "$dir/bdus_destroy_dev" /dev/null
}

page_bdus_get_error_message() {
	"$dir/bdus_get_error_message" >"$dir/stdout" || fail "status $?"
	[ "$(sed -n 1p "$dir/stdout")" = 'before: ""' ] || fail "$(cat "$dir/stdout")"
	grep -q '^after: ".*/dev/null.*"$' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	[ "$(sed -n 3p "$dir/stdout")" = 'other: ""' ] || fail "$(cat "$dir/stdout")"
}

page_bdus_get_libbdus_version() {
	"$dir/bdus_get_libbdus_version" >"$dir/stdout" || fail "status $?"
	grep -qx 'header 0\.1\.3' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -qx 'library 0\.1\.3' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -q 'kernel module' "$dir/stdout" || fail "$(cat "$dir/stdout")"
}

page_bdus_driver() {
	serve "$bdus" run -f "$dir/bdus-driver.so" size=8M
	expect_size $((8 * mib))
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
	refuses 'multiple of 512' "$bdus" run -f \
		"$dir/bdus-driver.so" size=5000
	refuses size "$bdus" run -f "$dir/bdus-driver.so"
}

page_bdus_filter() {
	serve "$bdus" run -f ram size=2M --filter "$dir/bdus-filter.so:1M"
	expect_size $mib
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
	refuses 'bytes=2097152' "$bdus" run -f ram size=2M --filter "$dir/bdus-filter.so:bytes=2M"
	refuses bytes "$bdus" run -f ram size=2M --filter "$dir/bdus-filter.so"
}

page_bdus_config() {
	serve "$bdus" run -f "$dir/bdus_config.so" \
		letter=b copies=2 upper
	expect_size $((2 * mib))
	tr '\000' B <"$dir/zeros" >"$dir/letters"
	expect_data "$dir/letters"
	nbdinfo --is rotational "$uri" || fail "a disk that does not rotate"
	stop
	refuses letter "$bdus" run -f "$dir/bdus_config.so"
	refuses 'one letter' "$bdus" run -f "$dir/bdus_config.so" \
		letter=bb
	refuses copies "$bdus" run -f "$dir/bdus_config.so" \
		letter=b copies=65
	refuses kind "$bdus" run -f "$dir/bdus_config.so" \
		letter=b kind=tape
}

# A read takes at least 0.1 s, and sixteen at once take little longer than one.
page_bdus_complete() {
	serve "$bdus" run -f "$dir/bdus_complete.so"
	begin=$(date +%s%N)
	nbdcopy --connections=1 --requests=16 --request-size=65536 "$uri" "$dir/read-back"
	took_ms=$((($(date +%s%N) - begin) / 1000000))
	[ $took_ms -ge 100 ] || fail "16 slow reads took $took_ms ms"
	[ $took_ms -lt 1000 ] || fail "16 reads at once took $took_ms ms"
	stop
}

page_bdus_manage_run() {
	driver bdus-driver.7
	serve "$dir/bdus_manage_run" "$BDUS_TRANSPORT" "$dir/bdus-driver.so" size=8M
	grep -qxF "$dir/bdus-driver.so: $uri, 8388608 bytes" "$dir/stdout" ||
		fail "announced as $(cat "$dir/stdout")"
	stop
	refuses nowhere "$dir/bdus_manage_run" auto /nowhere.so
	refuses "$dir/data" "$dir/bdus_manage_run" auto "$dir/data"
}

page_bdus_manage_check() {
	"$dir/bdus_manage_check" >"$dir/stdout" || fail "status $?"
	grep -qx 'nbd: usable' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -q '^ublk: ' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -q '^  write-zeros  *yes' "$dir/stdout" || fail "$(cat "$dir/stdout")"
}

page_bdus_manage_list() {
	"$dir/bdus_manage_list" >"$dir/stdout" || fail "status $?"
	driver bdus-driver.7
	serve "$bdus" run -f "$dir/bdus-driver.so" size=8M
	"$dir/bdus_manage_list" >"$dir/list" || fail "status $?"
	grep -qF "$uri memory over nbd, available, pid $server" "$dir/list" ||
		fail "listed as $(cat "$dir/list")"
	"$dir/bdus_manage_list" "$uri" >"$dir/found" || fail "status $?"
	grep -q "pid $server" "$dir/found" || fail "found as $(cat "$dir/found")"
	stop
	refuses socket "$dir/bdus_manage_list" "$uri"
}

page_bdus_manage_flush() {
	driver bdus-driver.7
	serve "$bdus" run -f "$dir/bdus-driver.so" size=8M
	"$dir/bdus_manage_flush" "$uri" 2>"$dir/stderr" || fail "status $?"
	wait "$server" || fail "the server ended with status $?"
	server=
	[ ! -e "$dir/s" ] || fail "the socket was left behind"
}

page_bdus_async() {
	serve "$dir/bdus-async" "$BDUS_TRANSPORT"
	grep -qxF "$uri" "$dir/stdout" || fail "announced as $(cat "$dir/stdout")"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
	refuses pigeon "$dir/bdus-async" pigeon
}

page_bdus_device_create() {
	serve "$dir/bdus_device_create" "$BDUS_TRANSPORT"
	expect_data "$dir/zeros"
	stop
}

page_bdus_loop_create() {
	[ "$(timeout 20 "$dir/bdus_loop_create")" = '0 requests' ] || fail "requests from nowhere"
}

page_bdus_loop_send() {
	[ "$("$dir/bdus_loop_send")" = open ] || fail "/dev/null cannot be opened"
	[ "$("$dir/bdus_loop_send" /nowhere)" = 'No such file or directory' ] ||
		fail "/nowhere can be opened"
}

page_bdus_stats_read() {
	serve "$dir/bdus_stats_read" "$BDUS_TRANSPORT"
	expect_data "$dir/zeros"
	stop
	grep -Eq '^[1-9][0-9]* reads of 1048576 bytes, half of them within [1-9][0-9]* ns$' \
		"$dir/stdout" || fail "told $(cat "$dir/stdout")"
}

page_bdus_queue_open() {
	serve "$dir/bdus_queue_open" "$BDUS_TRANSPORT"
	expect_data "$dir/zeros"
	stop
}

page_bdus_payload_prep_read() {
	truncate -s $mib "$dir/image"
	serve "$dir/bdus_payload_prep_read" "$dir/image" "$BDUS_TRANSPORT"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
	cmp "$dir/data" "$dir/image" || fail "the image has other data"
}

page_bdus_memory_create() {
	"$dir/bdus_memory_create" || fail 'a region of two MiB cannot be used'
}

page_bdus_thread_submit() {
	serve "$bdus" run -f "$dir/bdus_thread_submit.so"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
}

# What clients get is seen on a real kernel: tests/system/kbdus-carries-ioctls.sh.
page_bdus_kbdus() {
	status=0
	"$bdus" run --transport "nbd,socket=$dir/s" "$dir/bdus-kbdus.so" 2>"$dir/stderr" || status=$?
	[ $status = 5 ] || fail "NBD with ioctls ended with status $status"
	grep -q 'nbd cannot carry ioctls' "$dir/stderr" || fail "$(cat "$dir/stderr")"
}

# What it serves is seen on a real kernel: tests/system/zoned-*.sh.
page_bdus_zoned() {
	refuses 'NBD cannot carry the zones' "$dir/bdus-zoned"
}

page_bdus_zones_create() {
	"$dir/bdus_zones_create" >"$dir/stdout" || fail "status $?"
	grep -q '^2 zones are active' "$dir/stdout" || fail "$(cat "$dir/stdout")"
	grep -qx 'zone 1 is implicitly open at 1056768' "$dir/stdout" || fail "$(cat "$dir/stdout")"
}

for path in "$root"/docs/man/*.[37]; do
	page=$(basename "$path")
	# Only this folder's pages of programming interfaces: others have no programs.
	grep -q '^\.In bdus' "$path" || continue
	case $page in
	bdus-kbdus.7) described_driver "$page" ;;
	bdus-driver.7 | bdus-filter.7 | bdus_config.3 | bdus_complete.3 | bdus_thread_submit.3) driver "$page" ;;
	*) program "$page" ;;
	esac
	"page_$(echo "${page%.*}" | tr - _)"
	echo "$page: works"
done
