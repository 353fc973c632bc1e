#!/bin/bash
# SPDX-License-Identifier: MIT
# A profile is made however the program ends, is used at the next execution, converges, and can be shown,
# compared, explained, turned into a seed and forgotten.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

shows()
{
	"$METALLOC" profile show "$WORKER" | grep -q "$1"
}

for end in exit _exit kill; do
	rm -rf "$METALLOC_DIR"
	under "$WORKER" small $end >/dev/null 2>&1
	check "$end leaves one file" test "$(find "$METALLOC_DIR" -type f | wc -l)" = 1
	# What _exit() and SIGKILL leave is merged by the next execution.
	under "$WORKER" small exit >/dev/null
	check "both executions are merged after $end" shows ' 2 .* learning '
	check "the allocations are counted after $end" test "$("$METALLOC" profile show "$WORKER" |
		awk '$1 == 64 { print ($2 > 24000 && $2 < 28500) }')" = 1
done
for _ in 1 2 3 4 5 6 7; do
	under "$WORKER" small exit >/dev/null
done
check "converges" shows converged
check "small classes are served by lists" shows ' 64 .* lists'
check "explains in sentences" grep -q 'served by lists from the start' <("$METALLOC" explain "$WORKER")
check "draws a picture" grep -q '^ *256 |' <("$METALLOC" explain "$WORKER")
check "makes a text of a seed" grep -q '^[0-9]*-[0-9]* lists' <("$METALLOC" seed --from "$WORKER")
"$METALLOC" seed --from "$WORKER" >"$dir/worker.seed"
check "makes a seed of the text" "$METALLOC" seed --output "$dir/worker" "$dir/worker.seed"
check "a seed has 128 bytes" test "$(stat -c %s "$dir/worker")" = 128
echo "16-32 nonsense" >"$dir/wrong.seed"
check "a wrong seed is refused by line" grep -q 'wrong.seed:1: not a statement' \
	<("$METALLOC" seed --output "$dir/wrong" "$dir/wrong.seed" 2>&1)
cp "$WORKER" "$dir/other" && printf x >>"$dir/other"
check "the same build is the same program" test "$("$METALLOC" profile diff "$WORKER" "$dir/other" |
	wc -l)" = 1
check "doctor is content" "$METALLOC" doctor
check "bench prints ratios" grep -q '^processor' <("$METALLOC" bench --rounds 1 "$WORKER" keep exit)
check "forgets" "$METALLOC" profile forget "$WORKER"
check "has forgotten" test "$(find "$METALLOC_DIR" -type f | wc -l)" = 0
exit $failed
