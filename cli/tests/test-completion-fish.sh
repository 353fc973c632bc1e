#!/bin/sh
# SPDX-License-Identifier: MIT
# fish completes commands, options, drivers, keys and their values, ways in, devices and files.
. "$(dirname "$0")/lib.sh"

command -v fish >/dev/null || skip "fish is not installed"
HOME=$tmp
export HOME
mkdir "$tmp/bin"
ln -s "$BDUS" "$tmp/bin/bdus"
expect 0 fish --no-execute "$BDUS_COMPLETIONS/bdus.fish"

# fish offers whole words; the cases are about what follows the last = or :, as in bash.
completions()
{
	PATH=$tmp/bin:$PATH fish --no-config -c \
		"source $BDUS_COMPLETIONS/bdus.fish; complete -C '$1'" | cut -f 1 |
		if [ "${1##* }" != "${1##*[ =:]}" ]; then
			sed 's/.*[=:]\(.\)/\1/'
		else
			cat
		fi
}
. "$tests/completion-cases.sh"
