# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For shell tests of metalloc. METALLOC, LIBRARY and WORKER name what the build made.
set -u
dir=$(mktemp -d /tmp/metalloc-test-XXXXXX)
trap 'rm -rf "$dir"' EXIT
export METALLOC_DIR=$dir/profiles
# Sanitizers and the C library's own checks are not to get between.
unset MALLOC_PERTURB_ LD_PRELOAD ASAN_OPTIONS
failed=0

skip()
{
	echo "SKIP: $*"
	exit 77
}

# check WHAT COMMAND...
check()
{
	local what=$1
	shift
	if "$@"; then
		echo "ok: $what"
	else
		echo "FAILED: $what"
		failed=1
	fi
}

# Executes under the library.
under()
{
	LD_PRELOAD=$LIBRARY "$@"
}

[[ -f $LIBRARY ]] || skip "$LIBRARY was not built"
under /bin/true || skip "programs of this machine cannot be started with $LIBRARY"
