#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptions in a project of CMake; the argument is the generator: "Ninja" or "Unix Makefiles".
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
generator=$1
needs cmake "${CC%% *}"
[[ $generator == Ninja ]] && needs ninja || needs make
copy_project

cmake -S "$project" -B "$work/build" -G "$generator" -DCMAKE_C_COMPILER="$CC" \
	-DWIRE_HOOKS="$WIRE_HOOKS" -DWIREC="$work/wirec" -DWIRE_LIBRARY="$WIRE_LIBS" \
	-DWIRE_INCLUDE_DIR="${WIRE_CFLAGS#-I}" >"$work/log" 2>&1 || fail 'cmake'

build()
{
	cmake --build "$work/build" -j8
}

run_result()
{
	"$work/build/example" >"$work/said" || fail "the example: $(cat "$work/said")"
}

disk_objects='/disk\.c\.o$' journal_objects='(journal[^/]*|entry)\.c\.o$'
hook_story
if [[ $generator == Ninja ]]; then
	second_run_does_nothing
	lost_output_comes_back
	second_run_does_nothing
	ninja -C "$work/build" -t missingdeps >"$work/log" 2>&1 || fail 'dependencies are missing'
	grep -q 'No missing dependencies' "$work/log" ||
		fail 'what ninja says of missing dependencies'
fi
