# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# For the tests of the libraries' manual pages: the program in a page is taken out of it, compiled
# without a warning as a user would, and run; and every function has a page. Sourced by scripts of
# "SOURCE_ROOT BUILD_ROOT", with these in $root and $build.

# examples_begin NAME LIBRARY_PATH: makes the folder $dir, and has pkg-config find the build.
examples_begin() {
	command -v pkg-config >/dev/null || {
		echo "SKIP: pkg-config is not here"
		exit 77
	}
	dir=$(mktemp -d "/tmp/$1-examples-XXXXXX")
	trap 'rm -rf "$dir"' EXIT
	export PKG_CONFIG_PATH="$build/meson-uninstalled" LD_LIBRARY_PATH="$2"
	sanitize=
	[ "${SANITIZE:-none}" = none ] || sanitize="-fsanitize=$SANITIZE"
}

# example_compile PAGE PACKAGE: the program of a page, to $dir/example.
example_compile() {
	name=$(basename "$1")
	source=$dir/example.c
	awk '/^\.Sh/ { inside = /EXAMPLES/ } inside && /^\.Bd -literal/ { shown = 1; next }
		/^\.Ed/ { shown = 0 } inside && shown' "$1" | sed 's/\\e/\\/g' >"$source"
	[ -s "$source" ] || {
		echo "FAILED: $name has no example"
		exit 1
	}
	# shellcheck disable=SC2046,SC2086
	${CC:-cc} -std=gnu17 -Wall -Wextra -Werror -O2 $sanitize -o "$dir/example" "$source" \
		$(pkg-config --cflags --libs "$2") -pthread || {
		echo "FAILED: the example of $name does not compile"
		exit 1
	}
}

# example_run [ARGUMENT]...: runs it, in $dir.
example_run() {
	(cd "$dir" && timeout 20 ./example "$@") || {
		echo "FAILED: the example of $name ended with status $?"
		exit 1
	}
	echo "$name: works"
}

# pages_name PREFIX FUNCTION...: each of them stands in the NAME of a page of section 3.
pages_name() {
	prefix=$1
	shift
	for function; do
		grep -qx "\.Nm $function\( ,\)*" "$root/docs/man/$prefix"*.3 || {
			echo "FAILED: no manual page names $function()"
			exit 1
		}
	done
}
