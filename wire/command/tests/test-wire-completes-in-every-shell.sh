#!/bin/bash
# SPDX-License-Identifier: MIT
# bash and fish offer commands, options, formats, arguments, files, and the fields of the image that is
# edited; zsh's file is sound.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
: "${WIRE_COMPLETIONS:?is the folder of completions}"
mkdir "$work/bin"
ln -s "$WIRE" "$work/bin/wire"

cat >"$work/complete.bash" <<'END'
source "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=(wire)
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
_wire 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
END

bash_offers()
{
	PATH=$work/bin:$PATH bash "$work/complete.bash" "$WIRE_COMPLETIONS/wire.bash" "$1"
}

fish_offers()
{
	PATH=$work/bin:$PATH HOME=$work fish --no-config -c \
		"source $WIRE_COMPLETIONS/wire.fish; complete -C '$1'" | cut -f 1
}

offers() # SHELL LINE WORD
{
	"$1_offers" "$2" >"$work/out"
	grep -qxF -e "$3" "$work/out" || fail "$1: \"$2\" does not offer \"$3\""
}

shells=(bash)
if command -v fish >/dev/null; then
	shells+=(fish)
fi
for shell in "${shells[@]}"; do
	offers $shell 'wire ' dump
	offers $shell 'wire ch' check
	offers $shell 'wire dump ' sample.box
	offers $shell "wire dump sample $work/ima" "$image"
	offers $shell "wire edit sample $image la" label=
	offers $shell "wire edit sample $image items[3].w" 'items[3].what='
	offers $shell 'wire check sample --set ' unit=
	offers $shell 'wire help e' edit
done
offers bash 'wire check --o' --offset=
! command -v zsh >/dev/null || expect 0 zsh -n "$WIRE_COMPLETIONS/_wire"
