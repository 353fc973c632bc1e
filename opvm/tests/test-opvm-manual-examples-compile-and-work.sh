#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of opvm is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run.
#
# usage: test-opvm-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
# shellcheck source=tests/manual-examples.sh
. "$root/tests/manual-examples.sh"
examples_begin opvm "$build/opvm"

for page in "$root"/docs/man/opvm*.[37]; do
	example_compile "$page" opvm
	echo "some text" >"$dir/file"
	example_run file
done

# shellcheck disable=SC2046
pages_name opvm $(sed -n 's/^\t\(opvm_[a-z_]*\);$/\1/p' "$root/opvm/libopvm.map")
