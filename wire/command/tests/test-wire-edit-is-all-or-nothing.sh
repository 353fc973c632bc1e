#!/bin/bash
# SPDX-License-Identifier: MIT
# What an edit writes: one sector in place; several through a copy that takes the file's place, with its
# mode; a file with two names in place, and as it was when the second write fails. What does not change
# is not written.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

inode()
{
	stat -c %i "$1"
}

chmod 640 "$image"
before=$(inode "$image")
expect 0 "$WIRE" edit sample "$image" start=4096
[[ $(inode "$image") == "$before" ]] || fail 'one sector is not written in place'

# Item 119 is in the last sector, the checksum in the first.
ln -s "$image" "$work/link"
expect 0 "$WIRE" edit sample "$work/link" 'items[119].id=7'
[[ -L $work/link ]] || fail 'a link was replaced instead of its file'
[[ $(inode "$image") != "$before" ]] || fail 'two sectors are not written by a copy'
[[ $(stat -c %a "$image") == 640 ]] || fail 'the copy has another mode'
expect 0 "$WIRE" check sample "$image"
[[ $(find "$work" -name '*.wire-??????') == '' ]] || fail 'a copy is left over'

# With two names; the limit lets the first sector be written, and the second not.
ln "$image" "$work/second-name"
before=$(inode "$image")
expect 0 "$WIRE" edit sample "$image" 'items[119].id=8'
[[ $(inode "$image") == "$before" ]] || fail 'a file with two names was replaced'
expect 0 "$WIRE" check sample "$work/second-name"
cp "$image" "$work/kept"
(ulimit -f 1 && "$WIRE" edit sample "$image" 'items[119].id=9' 2>"$work/err")
(($? == 3)) || fail 'a failing write is not an error'
says 'is as it was'
cmp -s "$image" "$work/kept" || fail 'half an edit is left'

# A copy that cannot be finished leaves the file alone, and no copy.
rm "$work/second-name"
(ulimit -f 1 && "$WIRE" edit sample "$image" 'items[119].id=9' 2>"$work/err")
(($? == 3)) || fail 'a failing copy is not an error'
cmp -s "$image" "$work/kept" || fail 'half an edit is left'
[[ $(find "$work" -name '*.wire-??????') == '' ]] || fail 'a copy is left over'

# Nothing is written if nothing changes, and two do not edit at a time.
before=$(stat -c '%i %y' "$image")
expect 0 "$WIRE" edit sample "$image" 'items[119].id=8'
[[ $(stat -c '%i %y' "$image") == "$before" ]] || fail 'wrote what did not change'
exec 9<"$image"
flock 9
expect 3 "$WIRE" edit sample "$image" 'items[119].id=9'
says 'cannot lock'
