#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of metalloc's functions is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run. Each public function has a page.
#
# usage: test-metalloc-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
[ "${SANITIZE:-none}" = none ] || {
	echo "SKIP: sanitizers have a malloc of their own"
	exit 77
}
command -v pkg-config >/dev/null || {
	echo "SKIP: pkg-config is not here"
	exit 77
}
dir=$(mktemp -d /tmp/metalloc-examples-XXXXXX)
trap 'rm -rf "$dir"' EXIT
export PKG_CONFIG_PATH="$build/meson-uninstalled" LD_LIBRARY_PATH="$build/metalloc" METALLOC_DIR="$dir/profiles"

for page in "$root"/docs/man/metalloc*.[37]; do
	name=$(basename "$page")
	source=$dir/example.c
	awk '/^\.Sh/ { inside = /EXAMPLES/ } inside && /^\.Bd -literal/ { shown = 1; next }
		/^\.Ed/ { shown = 0 } inside && shown' "$page" | sed 's/\\e/\\/g' >"$source"
	[ -s "$source" ] || {
		echo "FAILED: $name has no example"
		exit 1
	}
	# shellcheck disable=SC2046
	${CC:-cc} -std=gnu17 -Wall -Wextra -Werror -O2 -o "$dir/example" "$source" \
		$(pkg-config --cflags --libs metalloc) || {
		echo "FAILED: the example of $name does not compile"
		exit 1
	}
	(cd "$dir" && timeout 20 ./example) || {
		echo "FAILED: the example of $name ended with status $?"
		exit 1
	}
	echo "$name: works"
done

for function in $(sed -n 's/^[a-z].*[ *]\(metalloc_[a-z_]*\)(.*/\1/p' "$root/include/metalloc.h" \
	"$root/include/metalloc/pool.h"); do
	grep -qx "\.Nm $function\( ,\)*" "$root"/docs/man/metalloc*.3 || {
		echo "FAILED: no manual page names $function()"
		exit 1
	}
done
