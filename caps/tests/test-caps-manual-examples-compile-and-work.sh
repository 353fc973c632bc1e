#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of caps is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run.
#
# usage: test-caps-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
# shellcheck source=tests/manual-examples.sh
. "$root/tests/manual-examples.sh"
examples_begin caps "$build/caps"
mkdir "$dir/runtime"
export XDG_RUNTIME_DIR="$dir/runtime"

for page in "$root"/docs/man/caps*.[37]; do
	example_compile "$page" caps
	example_run
done

# shellcheck disable=SC2046
pages_name caps $(sed -n 's/^\t\(caps_[a-z_]*\);$/\1/p' "$root/caps/libcaps.map")
