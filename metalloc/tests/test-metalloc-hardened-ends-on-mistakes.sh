#!/bin/bash
# SPDX-License-Identifier: MIT
# Hardened, a program that releases a block twice, releases what is no block, writes to a released block or behind a
# large one ends at once; a correct one does not.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

ends_by()
{
	METALLOC_CHOICE=hardened under "$WORKER" keep "$2" >/dev/null 2>&1
	test $? = $((128 + $1))
}

ulimit -c 0
for load in small big keep pingpong mixed; do
	check "hardened $load works" env METALLOC_CHOICE=hardened LD_PRELOAD="$LIBRARY" "$WORKER" $load exit
done
check "released twice" ends_by 6 twice
check "released what is no block" ends_by 6 wild
check "wrote to what is released" ends_by 6 late
check "wrote behind a large block" ends_by 11 overflow
exit $failed
