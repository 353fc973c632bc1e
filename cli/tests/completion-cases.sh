# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What every shell must offer. completions LINE prints what may stand for the last word, or, after a
# = or : in it, for what follows that.

# offers LINE WORD…: these are among the completions.
offers()
{
	line=$1
	shift
	completions "$line" >"$tmp/out"
	for word in "$@"; do
		grep -qx -e "$word" "$tmp/out" || fail "\"$line\" does not offer \"$word\""
	done
}

# withholds LINE WORD…: these are not.
withholds()
{
	line=$1
	shift
	completions "$line" >"$tmp/out"
	for word in "$@"; do
		! grep -qx -e "$word" "$tmp/out" || fail "\"$line\" offers \"$word\""
	done
}

expect 0 "$BDUS" run ram size=1M --transport "$(nbd s)"
expect 0 "$BDUS" list
id=$(awk 'NR == 2 {print $1}' "$tmp/out")
uri=$(awk 'NR == 2 {print $NF}' "$tmp/out")
mkdir "$tmp/folder"
: >"$tmp/folder/disk.img"

offers 'bdus ' run list info destroy flush check drivers version help
withholds 'bdus ' __words
offers 'bdus de' destroy
withholds 'bdus de' run
offers 'bdus destroy --' --all --no-flush --timeout --help
withholds 'bdus destroy --' --json
offers 'bdus run ' ram null file
offers 'bdus run --read-only ra' ram
offers 'bdus run ram ' size=
offers 'bdus run ram --t' --transport
offers 'bdus run --transport ' auto nbd ublk
offers 'bdus run -t n' nbd
offers 'bdus run --transport=n' nbd
offers 'bdus run -t nbd,so' "${comma_prefix-nbd,}socket="
offers 'bdus run --transport nbd ra' ram
offers 'bdus run file direct=' auto yes no
withholds 'bdus run file direct=a' yes
offers 'bdus destroy ' "$id"
offers 'bdus info ' "$id"
offers 'bdus info nbd' "$uri"
offers 'bdus flush ' "$id"
offers 'bdus replace ' "$id"
withholds 'bdus replace ' ram
offers "bdus replace $id " ram null file
offers "bdus recover $id ram " size=
offers 'bdus drivers ' ram file
offers 'bdus check ' nbd
offers 'bdus filters ' delay error
offers 'bdus filter ' attach detach
withholds 'bdus filter d' attach
offers 'bdus filter attach ' "$id"
offers "bdus filter attach $id " delay error
offers "bdus filter --timeout 5 detach $id de" delay
withholds "bdus filter attach $id " "$id" attach
offers 'bdus stats ' "$id"
offers 'bdus resize ' "$id"
offers 'bdus log ' "$id"
withholds 'bdus log ' debug
offers "bdus log $id " error warning info debug
withholds "bdus log $id " "$id"
offers "bdus log --timeout 5 $id w" warning
offers 'bdus run --log ' info debug
offers 'bdus run --log debug ra' ram
offers 'bdus run --filter ' delay error
offers 'bdus run ram --filter de' delay
offers 'bdus help ' destroy
withholds 'bdus list ' "$id"
offers "bdus run file path=$tmp/folder/d" "${file_shown:-$tmp/folder/disk.img}"
