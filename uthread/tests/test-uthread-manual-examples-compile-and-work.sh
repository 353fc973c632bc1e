#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of uthread is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run.
#
# usage: test-uthread-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
command -v pkg-config >/dev/null || {
	echo "SKIP: pkg-config is not here"
	exit 77
}
dir=$(mktemp -d /tmp/uthread-examples-XXXXXX)
trap 'rm -rf "$dir"' EXIT
export PKG_CONFIG_PATH="$build/meson-uninstalled" LD_LIBRARY_PATH="$build/uthread:$build/uthread/adapter:$build/asys"
sanitize=
[ "${SANITIZE:-none}" = none ] || sanitize="-fsanitize=$SANITIZE"

for page in "$root"/docs/man/uthread*.[37]; do
	name=$(basename "$page")
	source=$dir/example.c
	case $name in
	uthread_asys*) package=uthread-asys ;;
	*) package=uthread ;;
	esac
	awk '/^\.Sh/ { inside = /EXAMPLES/ } inside && /^\.Bd -literal/ { shown = 1; next }
		/^\.Ed/ { shown = 0 } inside && shown' "$page" | sed 's/\\e/\\/g' >"$source"
	[ -s "$source" ] || {
		echo "FAILED: $name has no example"
		exit 1
	}
	# shellcheck disable=SC2046,SC2086
	${CC:-cc} -std=gnu17 -Wall -Wextra -Werror -O2 $sanitize -o "$dir/example" "$source" \
		$(pkg-config --cflags --libs $package) -pthread || {
		echo "FAILED: the example of $name does not compile"
		exit 1
	}
	echo "some text" >"$dir/file"
	(cd "$dir" && timeout 20 ./example file) || {
		echo "FAILED: the example of $name ended with status $?"
		exit 1
	}
	echo "$name: works"
done

functions=$(sed -n 's/^	\(uthread_[a-z_]*\);$/\1/p' "$root/uthread/libuthread.map" "$root/uthread/adapter/libuthread-asys.map")
for function in $functions; do
	grep -qx "\.Nm $function\( ,\)*" "$root"/docs/man/uthread*.3 || {
		echo "FAILED: no manual page names $function"
		exit 1
	}
done
