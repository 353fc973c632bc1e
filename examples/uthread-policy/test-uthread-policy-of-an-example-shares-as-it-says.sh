#!/bin/sh
# SPDX-License-Identifier: MIT
# Three threads with shares of 1, 2 and 3 get a sixth, a third and a half of all turns.
#
# usage: test-uthread-policy-of-an-example-shares-as-it-says.sh PROGRAM
set -eu
"$1" | awk '{ sum += $1; turns[NR] = $1 } END {
	for (i = 1; i <= 3; i++)
		if (turns[i] < sum * i / 6 * 0.98 || turns[i] > sum * i / 6 * 1.02) {
			print "FAILED: thread " i " had " turns[i] " of " sum " turns"
			exit 1
		}
}'
