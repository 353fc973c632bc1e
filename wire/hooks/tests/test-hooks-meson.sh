#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptions in a project of Meson.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
needs meson ninja pkg-config "${CC%% *}"
copy_project

# As the package would be found, but for the compiler that notes its calls.
mkdir "$work/pkgconfig"
cat >"$work/pkgconfig/wire.pc" <<END
wirec=$work/wirec
hooks=$WIRE_HOOKS
Name: wire
Description: Structures for disk and wire
Version: 0
Cflags: $WIRE_CFLAGS
Libs: $WIRE_LIBS
END
PKG_CONFIG_PATH=$work/pkgconfig meson setup "$work/build" "$project" >"$work/log" 2>&1 ||
	fail 'meson setup'

build()
{
	ninja -C "$work/build" -j8
}

run_result()
{
	"$work/build/example" >"$work/said" || fail "the example: $(cat "$work/said")"
}

disk_objects='_disk\.c\.o$' journal_objects='(journal[^/]*|entry)\.c\.o$'
hook_story
second_run_does_nothing
lost_output_comes_back
second_run_does_nothing
ninja -C "$work/build" -t missingdeps >"$work/log" 2>&1 || fail 'dependencies are missing'
grep -q 'No missing dependencies' "$work/log" || fail 'what ninja says of missing dependencies'
