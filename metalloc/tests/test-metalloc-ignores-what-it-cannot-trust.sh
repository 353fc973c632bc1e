#!/bin/bash
# SPDX-License-Identifier: MIT
# Damaged and hostile profiles, a directory that is missing, read-only, no directory, or that the process may not
# see change nothing but that there is no profile; `metalloc doctor` says a word of it.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

works()
{
	under "$WORKER" small exit >/dev/null
}

works && works
file=$(find "$METALLOC_DIR" -type f)
for damage in 'truncate -s 5000' 'truncate -s 100000' 'shred -n 1' 'chmod 666' 'rm -f'; do
	$damage "$file" && [[ -e $file ]] || { mkdir "$file"; }
	check "works after $damage" works
	check "doctor tells after $damage" grep -q 'ignored' <("$METALLOC" doctor)
	rm -rf "$file"
	works
done
ln -sf /dev/zero "$file"
check "works with a link to a device" works
rm -f "$file" && mkfifo "$file"
check "does not wait for a pipe" timeout 20 "$METALLOC" run "$WORKER" small exit
rm -f "$file"
# Random contents behind a valid head, many times: a shared mapping of them is written to.
works
for seed in 1 2 3 4 5 6 7 8; do
	for page in 4096 8192 12288; do
		python3 -c "
import random, sys
random.seed($seed * $page)
file = open(sys.argv[1], 'r+b')
file.seek($page)
file.write(random.randbytes(4096))" "$file"
	done
	check "works with records of seed $seed" works
done
METALLOC_DIR=/proc/nonexistent
check "works with a directory that cannot be made" works
METALLOC_DIR=$WORKER
check "works with a directory that is a file" works
METALLOC_DIR=relative
check "takes no relative directory" works
check "made nothing here" test ! -e relative
METALLOC_DIR=$(printf '/%0.s/very-long' {1..200})
check "works with a path that is too long" works
unset METALLOC_DIR
check "works without an environment" env -i LD_PRELOAD="$LIBRARY" "$WORKER" small exit
export METALLOC_DIR=$dir/readonly
mkdir -p "$METALLOC_DIR"
if command -v setpriv >/dev/null && ((EUID == 0)) && cp "$WORKER" "$LIBRARY" "$dir/" && chmod 755 "$dir"; then
	check "works where it must not write" setpriv --reuid 65534 --regid 65534 --clear-groups env \
		LD_PRELOAD="$dir/$(basename "$LIBRARY")" "$dir/$(basename "$WORKER")" small exit
	check "wrote nothing there" test -z "$(ls "$METALLOC_DIR")"
fi
exit $failed
