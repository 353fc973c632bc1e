#!/bin/sh
# SPDX-License-Identifier: MIT
# zsh completes commands, options, drivers, keys and their values, ways in, devices and files, in a
# real interactive shell.
. "$(dirname "$0")/lib.sh"

command -v zsh >/dev/null || skip "zsh is not installed"
expect 0 zsh -n "$BDUS_COMPLETIONS/_bdus"
zsh -fc 'zmodload zsh/zpty && autoload -Uz compinit' || skip "zsh has no zpty module"
mkdir "$tmp/bin"
ln -s "$BDUS" "$tmp/bin/bdus"

# Lets an interactive zsh complete a line and print each match that compadd was given.
cat >"$tmp/complete.zsh" <<'END'
zmodload zsh/zpty
zpty shell "PATH=$1:\$PATH HOME=$3 PS1= TERM=dumb zsh -f -i"
say() { zpty -w shell "$1" }
say "stty -echo; fpath=($2 \$fpath); autoload -Uz compinit; compinit -u -d $3/dump"
say 'compadd() { local -a found; builtin compadd -A found "$@"; print -rl -- "FOUND:"${(Q)^found}; builtin compadd "$@" }'
say 'finish() { compstate[insert]= compstate[list]=; print -r -- "THE-END" }'
say 'comppostfuncs=(finish); zstyle ":completion:*" menu no; bindkey "^I" complete-word'
say 'print -r READ""Y'
zpty -r shell output '*READY*'
zpty -w -n shell "$4"$'\t'
zpty -r shell output '*THE-END*'
print -r -- "$output" | tr -d '\r' | sed -n 's/.*FOUND:\(.\)/\1/p'
zpty -d shell
END

completions()
{
	timeout 20 zsh -f "$tmp/complete.zsh" "$tmp/bin" "$BDUS_COMPLETIONS" "$tmp" "$1"
}
# Only the last part of a path or of a list is a match of its own.
comma_prefix=
file_shown=disk.img
. "$tests/completion-cases.sh"
