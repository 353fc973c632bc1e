# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of the wire command share: a folder with a valid image, and expectations.
set -u -o pipefail
: "${WIRE:?is the command with the sample format}" "${MAKE_SAMPLE:?makes an image}"

work=$(mktemp -d "${TMPDIR:-/tmp}/wire-command-XXXXXX")
trap 'rm -rf "$work"' EXIT
image=$work/image
"$MAKE_SAMPLE" >"$image" || exit 1
size=$(stat -c %s "$image")

fail()
{
	echo "FAIL: $*"
	[[ -e $work/out ]] && sed 's/^/stdout: /' "$work/out" | head -n 30
	[[ -e $work/err ]] && sed 's/^/stderr: /' "$work/err" | head -n 30
	exit 1
}

skip()
{
	echo "SKIP: $*"
	exit 77
}

# expect STATUS COMMAND...: runs it with its output in $work/out and $work/err.
expect()
{
	local wanted=$1 status
	shift
	"$@" >"$work/out" 2>"$work/err"
	status=$?
	((status == wanted)) || fail "status $status, should be $wanted, of: $*"
}

says() # WORDS: the last command's complaint has them
{
	grep -qF -- "$1" "$work/err" || fail "does not say: $1"
}

shows() # PATTERN
{
	grep -qE -- "$1" "$work/out" || fail "does not show: $1"
}

# poke FILE OFFSET BYTES: BYTES as printf takes them.
poke()
{
	# shellcheck disable=SC2059
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
