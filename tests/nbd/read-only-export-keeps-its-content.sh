#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A read-only export says so, refuses every change, whatever the client believes, and can be read.
. "$(dirname "$0")/lib.sh"
need nbdinfo nbdcopy qemu-io
head -c 1M /dev/urandom >"$dir/image"
cp "$dir/image" "$dir/original"
serve file path="$dir/image" --read-only
must nbdinfo --is read-only "$uri"
refused '' nbdcopy "$dir/original" "$uri"
refused '' qemu-io -f raw -c 'write 0 4k' "$uri"
must timeout 20 "$HOSTILE" "$socket" changes-of-a-read-only-export
must nbdcopy "$uri" "$dir/read"
must cmp "$dir/original" "$dir/read"
stop
must cmp "$dir/original" "$dir/image"
