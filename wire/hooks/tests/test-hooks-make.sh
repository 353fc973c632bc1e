#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptions in a project of plain Make.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
needs make "${CC%% *}"
copy_project

build()
{
	make -C "$project" -j8 CC="$CC" WIRE_HOOKS="$WIRE_HOOKS" WIREC="$work/wirec" \
		WIRE_CFLAGS="$WIRE_CFLAGS" WIRE_LIBS="$WIRE_LIBS"
}

run_result()
{
	"$project/example" >"$work/said" || fail "the example: $(cat "$work/said")"
}

disk_objects='/disk\.o$' journal_objects='/(journal[^/]*|entry)\.o$'
hook_story
second_run_does_nothing
lost_output_comes_back
second_run_does_nothing

make -s -C "$project" clean WIRE_HOOKS="$WIRE_HOOKS" WIREC="$work/wirec" >"$work/log" 2>&1 ||
	fail 'make clean'
left=$(cd "$project" && find . -name '*.o' -o -name '*.d' -o -name '*.wired*' -o -name disk.h)
[[ $left == '' ]] || fail "make clean leaves $left"
