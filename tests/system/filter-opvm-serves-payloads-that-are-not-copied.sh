#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Where payloads stay the kernel's (zero copy), a program sees the first bytes of what is written, cuts requests
# in parts and answers reads with zeros, as it does where payloads are memory.
#
# guest: timeout=90
. "$(dirname "$0")/lib.sh"
need_ublk
need qemu-io

# Writes that begin with 7 fail; reads from 1 MiB on give zeros; other requests are cut into 4 KiB.
cat >"$work/program.s" <<'END'
	ldxdw r2, [r1+48]
	ldxdw r3, [r1+56]
	mov r4, r2
	add r4, 1
	jgt r4, r3, unseen
	ldxb r5, [r2]
	jeq r5, 7, refuse
unseen:
	ldxdw r6, [r1+8]
	jle r6, 4096, short
	mov r6, 4096
	stxdw [r1+64], r6
short:
	ldxw r7, [r1+36]
	jne r7, 0, pass
	ldxdw r8, [r1+0]
	jlt r8, 0x100000, pass
	mov r0, 1
	exit
pass:
	mov r0, 0
	exit
refuse:
	mov r0, 3
	exit
END

io()
{
	qemu-io -f raw -t none "$@" >"$work/io" 2>&1 && ! grep -Eq 'failed|error|Pattern' "$work/io"
}

for copy in yes no; do
	step "zero-copy=$copy"
	truncate -s 4M "$work/image"
	must io -c 'write -P 255 0 4M' "$work/image"
	bdus_run --transport "ublk,zero-copy=$copy" file "path=$work/image" \
		--filter "opvm:$work/program.s,payload=16" || fail 'no device'
	must io -c 'write -P 8 64k 256k' -c 'read -P 8 64k 256k' -c 'write -P 9 5k 512' "$device"
	must io -c 'read -P 255 0 5k' -c 'read -P 9 5k 512' -c 'read -P 255 5632 4k' "$device"
	! io -c 'write -P 7 512k 64k' "$device" || fail 'a write that begins with 7 succeeded'
	must io -c 'read -P 255 512k 64k' -c 'read -P 0 1M 1M' -c 'read -P 0 3M 512' "$device"
	must "$BDUS" destroy "$device"
	must io -c 'read -P 8 64k 256k' -c 'read -P 255 1M 3M' "$work/image"
done
