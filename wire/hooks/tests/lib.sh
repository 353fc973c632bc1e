# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of the hooks share: a copy of the example project, a record of what a build did, and
# the story that every hook has to pass. The test defines build (builds everything with 8 jobs), names
# the objects it makes in disk_objects and journal_objects, and calls hook_story.
set -u -o pipefail
: "${WIREC:?is the compiler}" "${WIRE_HOOKS:?is the folder of the hooks}"

work=$(mktemp -d "${TMPDIR:-/tmp}/wire-hooks-XXXXXX")
trap 'rm -rf "$work"' EXIT
project=$work/project
calls=$work/wirec-calls

# Its own environment is not that of the build that runs this test.
unset MAKEFLAGS MAKELEVEL MFLAGS DESTDIR CFLAGS CPPFLAGS LDFLAGS NINJA_STATUS

fail()
{
	echo "FAIL: $*"
	[[ -s $work/log ]] && tail -n 40 "$work/log"
	exit 1
}

skip()
{
	echo "SKIP: $*"
	exit 77
}

needs()
{
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "no $tool here"
	done
}

# The project lies in a folder of its own and calls the compiler through a script that notes each call.
copy_project()
{
	cp -rL "$WIRE_HOOKS/example" "$project" || fail 'cannot copy the example'
	cat >"$work/wirec" <<-END
		#!/bin/sh
		for word; do file=\$word; done
		echo "\${file##*/}" >>"$calls"
		exec "$WIREC" "\$@"
	END
	chmod +x "$work/wirec"
	: >"$calls"
}

builds()
{
	: >"$calls"
	build >"$work/log" 2>&1 || fail "build: $1"
}

# Names and times of all that the build made.
snapshot()
{
	find "$work" -type f \( -name '*.o' -o -name '*.ko' -o -name '*.a' -o -name example -o \
		-name '*.c' -o -name '*.h' -o -name '*.wired' \) -printf '%p %T@\n' | sort
}

changed_since() # SNAPSHOT
{
	comm -13 <(echo "$1") <(snapshot) | sed 's/ [^ ]*$//'
}

compiled() # the descriptions that wirec was called for, in one line
{
	sort "$calls" | xargs
}

expect_compiled() # WHEN NAMES
{
	[[ $(compiled) == "$2" ]] || fail "$1: wirec compiled '$(compiled)', should be '$2'"
}

first_build_works()
{
	builds 'at first'
	expect_compiled 'first build' 'disk.wire journal.wire units.wire'
	run_result
}

second_run_does_nothing()
{
	local before
	before=$(snapshot)
	builds 'again'
	expect_compiled 'second run' ''
	[[ $(changed_since "$before") == '' ]] || fail "second run wrote $(changed_since "$before")"
}

# expect_rebuilt WHEN SNAPSHOT PATTERN-OF-WHAT-IS-BUILT PATTERN-OF-WHAT-IS-NOT
expect_rebuilt()
{
	local changed
	changed=$(changed_since "$2")
	[[ $3 == '' ]] || grep -qE "$3" <<<"$changed" || fail "$1: $3 is not among what was built: $changed"
	! grep -E "$4" <<<"$changed" || fail "$1: built although nothing changed for it"
}

only_dependents_rebuild()
{
	local before
	before=$(snapshot)
	sed -i 's/^const BLOCK_BYTES.*/const BLOCK_BYTES = 8K;/' "$project/disk.wire"
	builds 'with a changed description'
	expect_compiled 'changed description' 'disk.wire'
	expect_rebuilt 'changed description' "$before" "$disk_objects" "$journal_objects"
	second_run_does_nothing
}

comment_rebuilds_nothing()
{
	local before
	before=$(snapshot)
	echo '// Nothing new.' >>"$project/disk.wire"
	builds 'with a new comment'
	expect_compiled 'new comment' 'disk.wire'
	expect_rebuilt 'new comment' "$before" '' '\.o$|\.ko$|\.[ch]$'
	second_run_does_nothing
}

imports_are_followed()
{
	local before
	before=$(snapshot)
	sed -i 's/999_999_999/999_999_998/' "$project/units.wire"
	builds 'with a changed import'
	expect_compiled 'changed import' 'disk.wire units.wire'
	expect_rebuilt 'changed import' "$before" 'units[^/]*\.o$' "$journal_objects"
	second_run_does_nothing
}

broken_one_is_shown()
{
	local line
	cp "$project/journal.wire" "$work/kept"
	sed -i 's/u32 length;/u32 length in 5..;/' "$project/journal.wire"
	line=$(grep -n 'length in' "$project/journal.wire" | cut -d : -f 1)
	: >"$calls"
	! build >"$work/log" 2>&1 || fail 'a broken description is built'
	grep -qE "journal\.wire:$line:[0-9]+: error: .*\[[a-z-]+\]" "$work/log" ||
		fail "no journal.wire:$line:COLUMN: error: … [rule]"
	grep -qE "^ *$line \|.*u32 length in 5" "$work/log" || fail 'the line is not shown'
	! build >"$work/log" 2>&1 || fail 'a broken description is built when tried again'
	cp "$work/kept" "$project/journal.wire"
	builds 'repaired'
	expect_compiled 'repaired' 'journal.wire'
	run_result
}

import_can_go_away()
{
	cp "$project/disk.wire" "$work/kept"
	sed 's/format units/format other/' "$project/units.wire" >"$project/other.wire"
	sed -i -e 's/units\.stamp/other.stamp/' -e 's/"units.wire"/"other.wire"/' "$project/disk.wire"
	build >"$work/log" 2>&1 # main.c does not know the new name: only the description has to pass
	cp "$work/kept" "$project/disk.wire"
	rm "$project/other.wire"
	builds 'without a file that was imported before'
	run_result
}

lost_output_comes_back()
{
	local header
	header=$(find "$work" -name journal.h)
	rm "$header"
	builds 'with a generated file gone'
	[[ -s $header ]] || fail 'a generated file that was removed is not made again'
}

hook_story()
{
	first_build_works
	second_run_does_nothing
	only_dependents_rebuild
	comment_rebuilds_nothing
	imports_are_followed
	broken_one_is_shown
	import_can_go_away
}
