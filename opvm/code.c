/* SPDX-License-Identifier: MIT */
/*
 * Memory for machine code, and calling what is in it.
 */
#include "code.h"

#include <sys/mman.h>
#include <sys/random.h>

static size_t whole_pages(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) & ~(page - 1);
}

int opvm_code_begin(struct opvm_code_memory *memory, size_t places, size_t most_bytes,
		    struct opvm_log *log)
{
	if (getrandom(&memory->random, sizeof(memory->random), 0) != sizeof(memory->random))
		return opvm_fail(log, EIO, "no random numbers to hide constants\n");
	memory->random |= 1;
	memory->places = calloc(places, sizeof(*memory->places));
	if (memory->places == NULL)
		return opvm_fail(log, ENOMEM, "no memory for %zu places in machine code\n", places);
	memory->mapped_bytes = whole_pages(most_bytes);
	memory->code = mmap(NULL, memory->mapped_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory->code == MAP_FAILED) {
		free(memory->places);
		return opvm_fail(log, ENOMEM, "cannot map %zu bytes for machine code\n",
				 memory->mapped_bytes);
	}
	return 0;
}

int opvm_code_finish(struct opvm_code_memory *memory, struct opvm_program *program,
		     size_t used_bytes, struct opvm_log *log)
{
	const size_t needed = whole_pages(used_bytes);

	free(memory->places);
	if (needed < memory->mapped_bytes)
		munmap(memory->code + needed, memory->mapped_bytes - needed);
	/* Where the processor keeps what it executes apart from data. */
	__builtin___clear_cache((char *)memory->code, (char *)memory->code + used_bytes);
	if (mprotect(memory->code, needed, PROT_READ | PROT_EXEC) != 0) {
		const int error = errno;

		munmap(memory->code, needed);
		return opvm_fail(log, error, "the system does not let memory become executable\n");
	}
	program->code = memory->code;
	program->code_bytes = needed;
	program->compiled = memory->code;
	return 0;
}

int opvm_run_code(const struct opvm_program *program, void *context, uint64_t fuel,
		  uint64_t *result)
{
	int (*const code)(void *, uint64_t, uint64_t *) =
		(int (*)(void *, uint64_t, uint64_t *))(uintptr_t)program->compiled;

	return code(context, fuel > INT64_MAX ? INT64_MAX : fuel, result);
}

void opvm_release_code(struct opvm_program *program)
{
	if (program->code != NULL)
		munmap(program->code, program->code_bytes);
	program->code = NULL;
	program->compiled = NULL;
}
