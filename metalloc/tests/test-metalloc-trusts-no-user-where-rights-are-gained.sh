#!/bin/bash
# SPDX-License-Identifier: MIT
# A program that is executed with more rights than its user has (AT_SECURE) takes no choice from the environment, and
# neither reads nor writes profiles where the user says.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

if ((EUID != 0)) || ! command -v setpriv >/dev/null; then
	skip 'to make a program with the set-user-ID bit takes the super-user and setpriv'
fi
root=$(dirname "$0")/../..
cp "$LIBRARY" "$dir/libmetalloc.so.0"
cat >"$dir/secure.c" <<'END'
#include <metalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
int main(void)
{
	static void *blocks[10000];
	void *first = malloc(100);
	for (unsigned i = 0; i < 10000; i++)
		blocks[i] = malloc(100);
	for (unsigned i = 0; i < 10000; i++)
		free(blocks[i]);
	printf("%lu %s\n", getauxval(AT_SECURE), metalloc_allocator_of(first)->name);
	return 0;
}
END
gcc -O1 -fno-builtin -I "$root/include" -o "$dir/secure" "$dir/secure.c" "$dir/libmetalloc.so.0" -Wl,-rpath,"$dir" ||
	skip 'no compiler'
chmod 755 "$dir" && chmod 4755 "$dir/secure"
mkdir -m 777 "$METALLOC_DIR"

# tells USER CHOICE: AT_SECURE, and what the first block came from.
tells()
{
	setpriv --reuid "$1" --regid 65534 --clear-groups env METALLOC_CHOICE="$2" "$dir/secure"
}

[[ $(tells 65534 none) = 1* ]] || skip 'this file system does not honour the set-user-ID bit'
check "no choice of the environment" test "$(tells 65534 bitmap)" = "1 bump"
check "no profile in the user's directory" test -z "$(ls "$METALLOC_DIR")"
check "the same program heeds it with equal rights" test "$(tells 0 bitmap)" = "0 bitmap"
check "and makes a profile" test -n "$(ls "$METALLOC_DIR")"
exit $failed
