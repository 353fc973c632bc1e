#!/bin/bash
# SPDX-License-Identifier: MIT
# The test suites of other projects fail in nothing under the library in which they do not fail without it, and a
# compiler that compiles itself comes out the same. None of them is here; variables say where:
#
# METALLOC_SUITE_COREUTILS: a tree of coreutils that was built; METALLOC_SUITE_COREUTILS_TESTS: which tests of it, all if
# it is empty. METALLOC_SUITE_PYTHON: a python3 that came with its package `test`; METALLOC_SUITE_PYTHON_TESTS: which.
# METALLOC_SUITE_TCC: a tree of tcc that was configured and built.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

[[ -n ${METALLOC_SUITE_COREUTILS-}${METALLOC_SUITE_PYTHON-}${METALLOC_SUITE_TCC-} ]] ||
	skip 'no variable METALLOC_SUITE_… names a suite'

# What fails in a suite, a line each; "ran N" for how much there was.
coreutils()
{
	local tests=(${METALLOC_SUITE_COREUTILS_TESTS:+"TESTS=$METALLOC_SUITE_COREUTILS_TESTS"})

	LD_PRELOAD=$1 make -C "$METALLOC_SUITE_COREUTILS" -k -j2 check-TESTS "${tests[@]}" 2>&1 |
		awk '/^(FAIL|ERROR): / { print $2 } /^(PASS|FAIL): / { n++ } END { print "ran", n }' | sort
}

python()
{
	# shellcheck disable=SC2086
	LD_PRELOAD=$1 PYTHONMALLOC=malloc "$METALLOC_SUITE_PYTHON" -m test -j2 --timeout 300 \
		${METALLOC_SUITE_PYTHON_TESTS-} 2>&1 |
		awk '/ tests? failed/ { bad = 1; next } /^[^ ]/ { bad = 0 } bad { for (i = 1; i <= NF; i++) print $i }
			/^[0-9:]+ .*\[ *[0-9]+\/[0-9]+/ { n++ } END { print "ran", n }' | sort
}

# compare SUITE
compare()
{
	"$1" "" >"$dir/without"
	"$1" "$LIBRARY" >"$dir/with"
	grep '^ran' "$dir/without" "$dir/with"
	check "$1: as many ran" test "$(grep '^ran' "$dir/without")" = "$(grep '^ran' "$dir/with")"
	check "$1: something ran" grep -q '^ran [1-9]' "$dir/with"
	comm -13 <(grep -v '^ran' "$dir/without") <(grep -v '^ran' "$dir/with") >"$dir/new"
	cat "$dir/new"
	check "$1: nothing fails that did not" test ! -s "$dir/new"
}

# gcc compiles tcc, and each generation of that the next one, under the library; the last two are the same.
bootstrap()
{
	local tree=$METALLOC_SUITE_TCC by=gcc i

	for i in 1 2 3; do
		under "$by" -B"$tree" -I"$tree/include" -I"$tree" -DONE_SOURCE=1 \
			-DCONFIG_TRIPLET="\"$(gcc -print-multiarch)\"" -w -o "$dir/tcc-$i" "$tree/tcc.c" -ldl -lm -lpthread || return
		by="$dir/tcc-$i"
	done
	cmp "$dir/tcc-2" "$dir/tcc-3"
}

[[ -z ${METALLOC_SUITE_COREUTILS-} ]] || compare coreutils
[[ -z ${METALLOC_SUITE_PYTHON-} ]] || compare python
[[ -z ${METALLOC_SUITE_TCC-} ]] || check "tcc compiles itself" bootstrap
exit $failed
