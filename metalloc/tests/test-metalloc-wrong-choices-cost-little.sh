#!/bin/bash
# SPDX-License-Identifier: MIT
# Every choice is forced upon every load. Memory stays within 1.6 times and 6 MiB of what it is without a choice, and
# time within 5 times and 50 ms, however wrong the choice is.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# The least of three executions: KiB and microseconds.
best()
{
	local choice=$1 load=$2 i
	for i in 1 2 3; do
		METALLOC_CHOICE=$choice under "$WORKER" "$load" exit
	done | sort -n -k 2 | head -n 1
}

for load in small big keep pingpong mixed; do
	read -r memory time < <(best none "$load")
	for choice in bump lists handover bitmap whole huge; do
		read -r its_memory its_time < <(best $choice "$load")
		echo "$load by $choice: $((its_memory * 100 / memory)) % of the memory," \
			"$((its_time * 100 / time)) % of the time"
		check "$choice for $load keeps memory" \
			test "$its_memory" -le $((memory * 16 / 10 + 6144))
		check "$choice for $load keeps time" test "$its_time" -le $((time * 5 + 50000))
	done
done
exit $failed
