# SPDX-License-Identifier: MIT
# For shell tests of the programming interfaces: compiling a program against the library of the build
# as a user would, and serving it over NBD. To be sourced with $root (the source) and $build (the build
# folder) and $bdus (the command) set. SANITIZE is what the library was built with (-Db_sanitize).
# shellcheck shell=sh disable=SC2154

dir=$(mktemp -d /tmp/bdus-api-XXXXXX)
server=
trap clean_up EXIT
export BDUS_RUNTIME_DIR="$dir" BDUS_TRANSPORT="nbd,socket=$dir/s" LD_LIBRARY_PATH="$build"
export PKG_CONFIG_PATH="$build/meson-uninstalled"
uri="nbd+unix:///?socket=$dir/s"

# The command leaves its memory to the end of the process, which LeakSanitizer would hold against it.
printf '#!/bin/sh\nASAN_OPTIONS=detect_leaks=0 exec "%s" "$@"\n' "$(realpath "$bdus")" >"$dir/bdus"
chmod +x "$dir/bdus"
bdus=$dir/bdus

# What a test that failed left running, the background included: its records are here and nowhere else.
clean_up() {
	status=$?
	[ -z "$server" ] || kill -9 "$server"
	sed -n 's/^pid=//p' "$dir"/*.dev 2>/dev/null | xargs -r kill -9
	rm -rf "$dir"
	[ $status = 0 ] || [ $status = 77 ] || echo "status $status"
}

fail() {
	echo "FAILED: $*"
	[ ! -s "$dir/stderr" ] || cat "$dir/stderr"
	exit 1
}

need() {
	command -v "$1" >/dev/null || {
		echo "SKIP: $1 is not here"
		exit 77
	}
}

# compile OUTPUT SOURCE [FLAG]...
compile() {
	output=$1
	source=$2
	shift 2
	sanitize=
	[ "${SANITIZE:-none}" = none ] || sanitize="-fsanitize=$SANITIZE"
	# shellcheck disable=SC2046,SC2086
	${CC:-cc} -Wall -Wextra -Werror -O2 $sanitize "$@" -o "$output" "$source" \
		$(pkg-config --cflags --libs bdus) -pthread || fail "$source does not compile"
}

# serve PROGRAM [ARGUMENT]...: starts it and waits until it answers at $uri.
serve() {
	"$@" >"$dir/stdout" 2>"$dir/stderr" &
	server=$!
	tries=0
	until [ "$(nbdinfo --size "$uri" 2>/dev/null)" ]; do
		kill -0 "$server" 2>/dev/null || fail "$* ended before it served"
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || fail "$* did not serve within 10 s"
		sleep 0.05
	done
}

# stop: ends the server in good order, and looks for what it left behind.
stop() {
	kill -TERM "$server" || fail "the server is gone"
	wait "$server" || fail "the server ended with status $?"
	server=
	[ ! -e "$dir/s" ] || fail "the socket was left behind"
	[ -z "$(find "$dir" -name '*.dev')" ] || fail "a record was left behind"
}

# expect_size BYTES
expect_size() {
	size=$(nbdinfo --size "$uri")
	[ "$size" = "$1" ] || fail "the device has $size bytes rather than $1"
}

# expect_data FILE: what is served begins with FILE.
expect_data() {
	nbdcopy "$uri" "$dir/read-back"
	cmp -n "$(stat -c %s "$1")" "$1" "$dir/read-back" || fail "data differ"
	rm "$dir/read-back"
}
