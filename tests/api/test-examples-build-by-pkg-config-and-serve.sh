#!/bin/sh
# SPDX-License-Identifier: MIT
# Every example is compiled as its README says, as C99, with pkg-config's flags alone, and does over
# NBD what its first lines promise.
#
# usage: test-examples-build-by-pkg-config-and-serve.sh SOURCE_ROOT BUILD_ROOT BDUS
set -eu

root=$1
build=$2
bdus=$3
# shellcheck source=tests/api/lib.sh
. "$root/tests/api/lib.sh"
need nbdcopy
need qemu-io
need pkg-config

mib=1048576
head -c $((4 * mib)) /dev/urandom >"$dir/data"
head -c $((4 * mib)) /dev/zero >"$dir/zeros"

for name in zero ram image payload; do
	compile "$dir/$name" "$root/examples/$name.c" -std=c99 -pedantic
done
for name in async-poll async-epoll async-file; do
	compile "$dir/$name" "$root/examples/$name.c" -std=gnu17 -pedantic
done
loops='async-poll async-epoll'
for library in liburing libuv; do
	name=async-${library#lib}
	if pkg-config --exists "$library"; then
		# shellcheck disable=SC2046
		compile "$dir/$name" "$root/examples/$name.c" -std=gnu17 \
			-Wl,--no-as-needed $(pkg-config --cflags --libs "$library")
		loops="$loops $name"
	else
		echo "SKIP: no $library for $name"
	fi
done
compile "$dir/pattern.so" "$root/examples/pattern.c" -std=c99 -pedantic -shared -fPIC

# shellcheck disable=SC2046
compile "$dir/remote.so" "$root/examples/remote.c" -std=gnu17 -shared -fPIC -Wl,--no-as-needed \
	$(pkg-config --cflags --libs uthread-asys)
[ "$(wc -l <"$root/examples/remote.c")" -le 80 ] || fail "remote.c is not a small example any more"

# Those that go to the background leave a pid in no file; `bdus destroy` ends them.
in_background() {
	"$@" >"$dir/stdout" 2>"$dir/stderr" || fail "$* ended with status $?"
	[ "$(cat "$dir/stdout")" = "$uri" ] || fail "$* printed $(cat "$dir/stdout")"
}

destroy() {
	"$bdus" destroy "$uri" >"$dir/stdout" 2>"$dir/stderr" || fail "bdus destroy: $?"
	[ ! -e "$dir/s" ] || fail "the socket was left behind"
}

discard() {
	qemu-io -f raw -c "discard 0 $((4 * mib))" "$uri" >"$dir/stdout" || fail "no discard"
}

in_background "$dir/zero"
expect_size $((1024 * mib))
expect_data "$dir/zeros"
nbdinfo --is read-only "$uri" || fail "zero can be written to"
destroy

in_background "$dir/ram" 16
expect_size $((16 * mib))
expect_data "$dir/zeros"
nbdcopy "$dir/data" "$uri"
expect_data "$dir/data"
discard
expect_data "$dir/zeros"
destroy

truncate -s $((16 * mib)) "$dir/image.raw"
in_background "$dir/image" "$dir/image.raw"
expect_size $((16 * mib))
nbdcopy --flush "$dir/data" "$uri"
cmp -n $((4 * mib)) "$dir/data" "$dir/image.raw" || fail "image stored something else"
expect_data "$dir/data"
discard
[ "$(stat -c %b "$dir/image.raw")" -eq 0 ] || fail "image keeps the space of what was discarded"
destroy

for way in restrict plain; do
	if [ $way = plain ]; then set -- plain; else set --; fi
	in_background "$dir/payload" "$@"
	expect_data "$dir/zeros"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	destroy
done

for name in $loops; do
	serve "$dir/$name" "$BDUS_TRANSPORT"
	expect_size $((16 * mib))
	grep -qxF "$uri" "$dir/stdout" || fail "$name printed $(cat "$dir/stdout")"
	nbdcopy "$dir/data" "$uri"
	expect_data "$dir/data"
	stop
done

truncate -s $((16 * mib)) "$dir/async.raw"
serve "$dir/async-file" "$dir/async.raw" "$BDUS_TRANSPORT"
expect_size $((16 * mib))
nbdcopy --flush "$dir/data" "$uri"
expect_data "$dir/data"
stop
cmp -n $((4 * mib)) "$dir/data" "$dir/async.raw" || fail "async-file stored something else"

serve "$bdus" run -f "$dir/pattern.so" size=1M seed=5
expect_size $mib
python3 -c 'import struct, sys
for offset in range(0, int(sys.argv[1]), 8):
    sys.stdout.buffer.write(struct.pack("<Q", offset ^ 5))' $mib >"$dir/pattern"
expect_data "$dir/pattern"
stop
"$bdus" run -f "$dir/pattern.so" size=1000 2>"$dir/stderr" &&
	fail "pattern took a size that is no multiple of 512"
grep -q 'size=1000: must be a multiple of 512' "$dir/stderr" || fail "no word about the size"
truncate -s $((16 * mib)) "$dir/remote.raw"
python3 "$root/examples/remote-server.py" "$dir/remote.raw" >"$dir/port" &
remote=$!
trap 'kill "$remote"; clean_up' EXIT
tries=0
until [ -s "$dir/port" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 200 ] || fail "remote-server.py does not listen"
	sleep 0.05
done
serve "$bdus" run -f "$dir/remote.so" port="$(cat "$dir/port")"
expect_size $((16 * mib))
nbdcopy "$dir/data" "$uri"
expect_data "$dir/data"
stop
cmp -n $((4 * mib)) "$dir/data" "$dir/remote.raw" || fail "remote stored something else"
echo "all examples serve"
