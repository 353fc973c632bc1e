#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of metalloc's functions is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run. Each public function has a page.
#
# usage: test-metalloc-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
# shellcheck source=tests/manual-examples.sh
. "$root/tests/manual-examples.sh"
[ "${SANITIZE:-none}" = none ] || {
	echo "SKIP: sanitizers have a malloc of their own"
	exit 77
}
examples_begin metalloc "$build/metalloc"
export METALLOC_DIR="$dir/profiles"

for page in "$root"/docs/man/metalloc*.[37]; do
	example_compile "$page" metalloc
	example_run
done

# shellcheck disable=SC2046
pages_name metalloc $(sed -n 's/^[a-z].*[ *]\(metalloc_[a-z_]*\)(.*/\1/p' "$root/include/metalloc.h" \
	"$root/include/metalloc/pool.h")
