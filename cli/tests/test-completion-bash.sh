#!/bin/sh
# SPDX-License-Identifier: MIT
# bash completes commands, options, drivers, keys and their values, ways in, devices and files.
. "$(dirname "$0")/lib.sh"

command -v bash >/dev/null || skip "bash is not installed"

cat >"$tmp/complete.bash" <<'END'
source "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("$BDUS")
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_LINE=${COMP_LINE}
_bdus 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
END

completions()
{
	bash "$tmp/complete.bash" "$BDUS_COMPLETIONS/bdus.bash" "$1"
}
. "$tests/completion-cases.sh"
