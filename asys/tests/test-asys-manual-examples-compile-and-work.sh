#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of asys is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run.
#
# usage: test-asys-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
# shellcheck source=tests/manual-examples.sh
. "$root/tests/manual-examples.sh"
examples_begin asys "$build/asys"

for page in "$root"/docs/man/asys*.[37]; do
	example_compile "$page" asys
	echo "some text" >"$dir/file"
	example_run file
done

functions=$(sed -n 's/^.*[ *]\(asys_[a-z_]*\)(struct asys_message \*message.*/\1/p
	s/^[a-z].*[ *]\(asys_[a-z_]*\)(.*struct asys.*/\1/p' "$root/include/asys.h" | sort -u)
# shellcheck disable=SC2086
pages_name asys $functions
