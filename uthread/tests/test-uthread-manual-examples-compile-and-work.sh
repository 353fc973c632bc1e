#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in each manual page of uthread is complete: it is taken out of the page, compiled without a
# warning against the library as a user would, and run.
#
# usage: test-uthread-manual-examples-compile-and-work.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
# shellcheck source=tests/manual-examples.sh
. "$root/tests/manual-examples.sh"
examples_begin uthread "$build/uthread:$build/uthread/adapter:$build/asys"

for page in "$root"/docs/man/uthread*.[37]; do
	case $(basename "$page") in
	uthread_asys*) package=uthread-asys ;;
	*) package=uthread ;;
	esac
	example_compile "$page" $package
	echo "some text" >"$dir/file"
	example_run file
done

# shellcheck disable=SC2046
pages_name uthread $(sed -n 's/^	\(uthread_[a-z_]*\);$/\1/p' "$root/uthread/libuthread.map" "$root/uthread/adapter/libuthread-asys.map")
