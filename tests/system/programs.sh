# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Programs that several scripts load, as text for opvm.

linear_program() # BYTES: everything lies so much farther on
{
	cat <<-END
		ldxdw r2, [r1+0]
		add r2, $1
		stxdw [r1+72], r2
		mov r0, 2
		exit
	END
}

stripe_program() # BYTES: stripes of 64 KiB in turn over two halves, of which the second begins there
{
	cat <<-END
		ldxdw r2, [r1+0]
		ldxdw r3, [r1+8]
		mov r4, r2
		and r4, 65535
		mov r5, 65536
		sub r5, r4
		jle r3, r5, whole
		stxdw [r1+64], r5
		whole:
		rsh r2, 16
		mov r3, r2
		and r3, 1
		mul r3, $1
		rsh r2, 1
		lsh r2, 16
		add r2, r3
		add r2, r4
		stxdw [r1+72], r2
		mov r0, 2
		exit
	END
}
