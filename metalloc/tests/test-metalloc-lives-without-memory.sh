#!/bin/bash
# SPDX-License-Identifier: MIT
# With an address space of 64 MiB, allocation fails with ENOMEM instead of ending the program, and what is released
# after that can be allocated again, in every way.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$dir/limited.c" <<'END'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
struct block { struct block *next; };
static size_t fill(size_t size)
{
	struct block *all = NULL, *next;
	size_t count = 0;
	for (errno = 0; (next = malloc(size)) != NULL; count++) {
		next->next = all;
		all = next;
	}
	if (errno != ENOMEM || calloc(1, 200 << 20) != NULL || realloc(all, 200 << 20) != NULL)
		exit(3);
	for (; all != NULL; all = next) {
		next = all->next;
		free(all);
	}
	return count * size;
}
int main(void)
{
	const struct rlimit limit = {64 << 20, 64 << 20};
	static const size_t sizes[] = {100000, 16, 1000, 5000, 28000, 48, 1 << 20, 6 << 20, 200, 40000};
	setrlimit(RLIMIT_AS, &limit);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			if (fill(sizes[i]) < (20 << 20)) {
				fprintf(stderr, "only %zu bytes in blocks of %zu\n", fill(sizes[i]), sizes[i]);
				return 1;
			}
	return 0;
}
END
gcc -O1 -fno-builtin -o "$dir/limited" "$dir/limited.c" || skip 'no compiler'
for choice in none bump lists handover bitmap whole huge; do
	check "$choice" env METALLOC_CHOICE=$choice LD_PRELOAD="$LIBRARY" "$dir/limited"
done
exit $failed
