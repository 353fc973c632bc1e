#!/bin/bash
# SPDX-License-Identifier: MIT
# Every unknown word is named, together with those that there are; the manual page knows all of them.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

refused() # WORDS ARGUMENT...
{
	local words=$1
	shift
	expect 2 "$WIRE" "$@"
	says "$words"
	[[ ! -s $work/out ]] || fail "prints: $*"
}

refused 'a command is needed'
refused 'allowed: dump, check, edit' paint
refused 'allowed: sample.box' dump nothing "$image"
refused 'dump needs FORMAT IMAGE' dump sample
refused 'does not take "more"' check sample "$image" more
refused 'has no option "--force"; allowed: --offset' check --force sample "$image"
refused 'is no number' check sample "$image" --offset 12q
refused 'is no number' check sample "$image" --offset 18446744073709551616
refused 'needs an argument' check sample "$image" --offset
refused 'takes no argument' check --json=yes sample "$image"
refused 'allowed: unit' check sample "$image" --set size=1
refused 'needs NAME=VALUE' check sample "$image" --set unit
refused 'is no number' check sample "$image" --set unit=x
refused 'has no =' edit sample "$image" start
refused 'allowed:' help paint

expect 0 "$WIRE" formats
shows '^sample\.box +unit=512$'
expect 0 "$WIRE" formats --json
shows '"unit": 512'
expect 0 "$WIRE" --version
expect 0 "$WIRE" --help
shows 'edit +FORMAT IMAGE PATH=VALUE'
for command in dump check edit formats version help; do
	expect 0 "$WIRE" help $command
	grep -q "Cm $command\$" "$WIRE_MAN_PAGE" || fail "the manual page has no $command"
	"$WIRE" __words options $command | while IFS=$'\t' read -r option _; do
		option=${option#--}
		grep -qF "Fl \\-${option%=}" "$WIRE_MAN_PAGE" ||
			fail "the manual page has no --$option"
	done || exit 1
done
sh -c '"$0" dump sample "$1" >&-' "$WIRE" "$image" 2>"$work/err"
(($? == 0 || $? == 3)) || fail 'a closed stdout'
if [[ -e /dev/full ]]; then
	"$WIRE" dump sample "$image" >/dev/full 2>"$work/err"
	(($? == 3)) || fail 'a full disk is no error'
	says 'standard output'
fi
