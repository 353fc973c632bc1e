/* SPDX-License-Identifier: MIT */
/*
 * Measures opvm against the C compiler, and against uBPF where UBPF_LIBRARY names its shared
 * library. Prints ratios of medians over alternating rounds.
 *
 * usage: bench-opvm [ROUNDS]
 */
#include "opvm.h"
#include "programs.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUEL        100000000
#define MOST_ROUNDS 101
#define DATA_BYTES  4096

typedef uint64_t (*native)(struct bench_context *context);

struct workload {
	const char *name;
	const char *text;
	native native;
	unsigned runs;
};

#define PLACE(member) \
#member, offsetof(struct bench_context, member), sizeof(((struct bench_context *)0)->member)

static const struct opvm_field fields[] = {
	{PLACE(data), OPVM_FIELD_REGION, 0, 0, 0, 0, 1 << 20},
	{PLACE(data_end), OPVM_FIELD_REGION_END, 0, 0, 0, 0, 1 << 20},
	{PLACE(number), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
	{PLACE(offset), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
	{PLACE(length), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
	{PLACE(operation), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
	{PLACE(flags), OPVM_FIELD_INTEGER, 0, 0, 0, 0, 0},
};
static const struct opvm_context context_type = {"bench", sizeof(struct bench_context),
						 sizeof(fields) / sizeof(fields[0]), fields};
static const struct opvm_environment environment = {.size = sizeof(environment),
						    .context = &context_type};

/* As clang writes the functions of native.c. */
static const struct workload workloads[] = {
	{"arithmetic loop",
	 "	ldxdw r0, [r1+16]\n"
	 "	mov r1, 1000\n"
	 "	lddw r2, 6364136223846793005\n"
	 "	lddw r3, 1442695040888963407\n"
	 "again:\n"
	 "	mul r0, r2\n"
	 "	add r0, r3\n"
	 "	mov r4, r0\n"
	 "	rsh r4, 13\n"
	 "	xor r0, r4\n"
	 "	add r1, -1\n"
	 "	jne r1, 0, again\n"
	 "	exit\n",
	 native_arithmetic, 100},
	{"FNV of 4 KiB",
	 "	ldxdw r2, [r1+8]\n"
	 "	ldxdw r1, [r1+0]\n"
	 "	lddw r0, 0xcbf29ce484222325\n"
	 "	jge r1, r2, out\n"
	 "	lddw r3, 1099511628211\n"
	 "again:\n"
	 "	ldxb r4, [r1+0]\n"
	 "	xor r0, r4\n"
	 "	mul r0, r3\n"
	 "	add r1, 1\n"
	 "	jlt r1, r2, again\n"
	 "out:\n"
	 "	exit\n",
	 native_fnv, 50},
	{"word scan of 4 KiB",
	 "	ldxdw r2, [r1+8]\n"
	 "	ldxdw r3, [r1+16]\n"
	 "	ldxdw r4, [r1+0]\n"
	 "	mov r0, 0\n"
	 "	mov r5, r4\n"
	 "	add r5, 8\n"
	 "	jgt r5, r2, out\n"
	 "again:\n"
	 "	ldxdw r4, [r5-8]\n"
	 "	jeq r4, r3, found\n"
	 "	add r5, 8\n"
	 "	jle r5, r2, again\n"
	 "out:\n"
	 "	exit\n"
	 "found:\n"
	 "	mov r0, 1\n"
	 "	exit\n",
	 native_scan, 400},
	{"filter of 14 instructions",
	 "	ldxdw r2, [r1+24]\n"
	 "	ldxw r3, [r1+32]\n"
	 "	ldxw r4, [r1+36]\n"
	 "	jne r4, 1, small\n"
	 "	mov r5, r2\n"
	 "	add r5, r3\n"
	 "	ldxdw r4, [r1+16]\n"
	 "	mov r0, 2\n"
	 "	jgt r5, r4, out\n"
	 "small:\n"
	 "	mov r0, 3\n"
	 "	jgt r3, 1048576, out\n"
	 "	mov r0, 0\n"
	 "	and r2, 3584\n"
	 "	jeq r2, 2560, last\n"
	 "out:\n"
	 "	exit\n"
	 "last:\n"
	 "	ldxw r0, [r1+40]\n"
	 "	exit\n",
	 native_filter, 100000},
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static const char long_loop[] = "	mov r0, 0\n"
				"	mov r1, 0\n"
				"again:\n"
				"	add r0, r1\n"
				"	xor r0, 5\n"
				"	add r1, 1\n"
				"	jne r1, 50000, again\n"
				"	exit\n";

static const char payload_scan[] = "	ldxdw r2, [r1+0]\n"
				   "	ldxdw r3, [r1+8]\n"
				   "	mov r0, 0\n"
				   "	mov r4, 0\n"
				   "again:\n"
				   "	mov r5, r2\n"
				   "	add r5, r4\n"
				   "	mov r1, r5\n"
				   "	add r1, 1\n"
				   "	jgt r1, r3, out\n"
				   "	ldxb r1, [r5+0]\n"
				   "	jne r1, 10, on\n"
				   "	add r0, 1\n"
				   "on:\n"
				   "	add r4, 1\n"
				   "	jne r4, 1400, again\n"
				   "out:\n"
				   "	exit\n";

static unsigned rounds = 15;

/* ---- measuring ----------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double first = *(const double *)a, second = *(const double *)b;

	return first < second ? -1 : first > second;
}

static double median(double *times)
{
	qsort(times, rounds, sizeof(*times), compare);
	return times[rounds / 2];
}

/* ---- uBPF ---------------------------------------------------------------------------------- */

/* Its interface, as far as it is used here. */
struct ubpf {
	void *(*create)(void);
	int (*load)(void *vm, const void *code, uint32_t length, char **message);
	uint64_t (*(*compile)(void *vm, char **message))(void *memory, size_t length);
	int (*execute)(const void *vm, void *memory, size_t length, uint64_t *result);
	_Bool (*toggle_bounds_check)(void *vm, _Bool enable);
};

static int open_ubpf(struct ubpf *ubpf)
{
	const char *const path = getenv("UBPF_LIBRARY");
	void *const library = path != NULL ? dlopen(path, RTLD_NOW) : NULL;

	memset(ubpf, 0, sizeof(*ubpf));
	if (library == NULL)
		return -1;
	*(void **)&ubpf->create = dlsym(library, "ubpf_create");
	*(void **)&ubpf->load = dlsym(library, "ubpf_load");
	*(void **)&ubpf->compile = dlsym(library, "ubpf_compile");
	*(void **)&ubpf->execute = dlsym(library, "ubpf_exec");
	*(void **)&ubpf->toggle_bounds_check = dlsym(library, "ubpf_toggle_bounds_check");
	return ubpf->create != NULL && ubpf->load != NULL && ubpf->compile != NULL &&
			       ubpf->execute != NULL && ubpf->toggle_bounds_check != NULL
		       ? 0
		       : -1;
}

/* ---- the four programs --------------------------------------------------------------------- */

enum side {
	NATIVE,
	INTERPRETER,
	MACHINE,
	UBPF_INTERPRETER,
	UBPF_MACHINE,
	SIDES
};

struct subject {
	const struct workload *workload;
	struct opvm_object *object;
	struct opvm_program *program;
	bool compiled;
	const struct ubpf *ubpf;
	void *vm;
	uint64_t (*vm_code)(void *memory, size_t length);
};

static uint64_t run_once(const struct subject *subject, enum side side,
			 struct bench_context *context)
{
	uint64_t result = 0;

	switch (side) {
	case NATIVE:
		return subject->workload->native(context);
	case INTERPRETER:
		opvm_interpret(subject->program, context, FUEL, &result);
		return result;
	case MACHINE:
		opvm_run(subject->program, context, FUEL, &result);
		return result;
	case UBPF_INTERPRETER:
		subject->ubpf->execute(subject->vm, context, sizeof(*context), &result);
		return result;
	default:
		return subject->vm_code(context, sizeof(*context));
	}
}

static bool has_side(const struct subject *subject, enum side side)
{
	if (side == MACHINE)
		return subject->compiled;
	return side < UBPF_INTERPRETER || subject->vm != NULL;
}

static double measure_once(const struct subject *subject, enum side side,
			   struct bench_context *context, uint64_t *result)
{
	const double start = now_ns();

	for (unsigned run = 0; run < subject->workload->runs; run++)
		*result = run_once(subject, side, context);
	return (now_ns() - start) / subject->workload->runs;
}

static int measure(const struct subject *subject)
{
	static double times[SIDES][MOST_ROUNDS];
	static const char *const names[] = {"C", "interpreter", "machine code", "uBPF interpreter",
					    "uBPF machine code"};
	static uint64_t data[DATA_BYTES / 8];
	struct bench_context context = {
		.data = (const uint8_t *)data,
		.data_end = (const uint8_t *)(data + DATA_BYTES / 8),
		.number = 1ULL << 40,
		.offset = 4096 * 77,
		.length = 4096,
		.operation = 1,
		.flags = 1,
	};
	uint64_t results[SIDES];
	double base = 0;

	for (unsigned at = 0; at < DATA_BYTES; at++)
		((uint8_t *)data)[at] = (uint8_t)(at * 7);
	for (unsigned round = 0; round < rounds; round++)
		for (enum side side = NATIVE; side < SIDES; side++)
			if (has_side(subject, side))
				times[side][round] =
					measure_once(subject, side, &context, &results[side]);
	for (enum side side = NATIVE; side < SIDES; side++) {
		if (!has_side(subject, side))
			continue;
		if (results[side] != results[NATIVE]) {
			printf("%s: %s gives another result\n", subject->workload->name,
			       names[side]);
			return 1;
		}
		const double time = median(times[side]);

		base = side == NATIVE ? time : base;
		printf("%-26s %-18s %10.1f ns  %6.2f of C\n", subject->workload->name, names[side],
		       time, time / base);
	}
	return 0;
}

static int prepare(struct subject *subject)
{
	static char message[4096];
	struct opvm_log log = {message, sizeof(message), 0};
	const struct opvm_instruction *code;
	char *text = NULL;
	uint32_t count;

	if (opvm_object_assemble(subject->workload->text, &log, &subject->object) != 0 ||
	    opvm_object_load(subject->object, &environment, NULL, &log) != 0) {
		fputs(message, stderr);
		return 1;
	}
	subject->program = opvm_object_find_program(subject->object, NULL);
	subject->compiled = opvm_compile(subject->program, NULL) == 0;
	if (subject->ubpf == NULL)
		return 0;
	code = opvm_object_code(subject->object, &count);
	subject->vm = subject->ubpf->create();
	/* It cannot know what is in memory: its checks would refuse the data. */
	subject->ubpf->toggle_bounds_check(subject->vm, false);
	if (subject->ubpf->load(subject->vm, code, count * 8, &text) != 0 ||
	    (subject->vm_code = subject->ubpf->compile(subject->vm, &text)) == NULL) {
		printf("uBPF: %s\n", text);
		subject->vm = NULL;
	}
	return 0;
}

/* ---- verifying and compiling --------------------------------------------------------------- */

static int measure_verifier(const char *name, const char *text)
{
	static char message[4096];
	static double times[MOST_ROUNDS];
	struct opvm_log log = {message, sizeof(message), 0};
	struct opvm_source source = {.size = sizeof(source), .verify_only = true};
	struct opvm_object *object;

	if (opvm_object_assemble(text, &log, &object) != 0)
		return 1;
	source.instructions = opvm_object_code(object, &source.count);
	for (unsigned round = 0; round < rounds; round++) {
		const double start = now_ns();

		if (opvm_program_create(&environment, &source, &log, NULL) != 0) {
			fputs(message, stderr);
			return 1;
		}
		times[round] = now_ns() - start;
	}
	printf("%-45s %10.1f us\n", name, median(times) / 1e3);
	opvm_object_destroy(object);
	return 0;
}

static int measure_compiler(void)
{
	static double times[MOST_ROUNDS];
	struct opvm_object *object;

	for (unsigned round = 0; round < rounds; round++) {
		double start;

		if (opvm_object_assemble(workloads[3].text, NULL, &object) != 0 ||
		    opvm_object_load(object, &environment, NULL, NULL) != 0)
			return 1;
		start = now_ns();
		if (opvm_compile(opvm_object_find_program(object, NULL), NULL) != 0) {
			printf("no compiler for this machine\n");
			opvm_object_destroy(object);
			return 0;
		}
		times[round] = now_ns() - start;
		opvm_object_destroy(object);
	}
	printf("%-45s %10.1f us\n", "compile the filter", median(times) / 1e3);
	return 0;
}

int main(int count, char **arguments)
{
	struct ubpf ubpf;
	const bool has_ubpf = open_ubpf(&ubpf) == 0;
	int failed = 0;

	if (count > 1)
		rounds = (unsigned)strtoul(arguments[1], NULL, 0);
	if (rounds == 0 || rounds > MOST_ROUNDS)
		rounds = 1;
	for (unsigned index = 0; index < WORKLOADS && failed == 0; index++) {
		struct subject subject = {.workload = &workloads[index],
					  .ubpf = has_ubpf ? &ubpf : NULL};

		failed = prepare(&subject) != 0 || measure(&subject) != 0;
		opvm_object_destroy(subject.object);
	}
	if (failed == 0)
		failed = measure_verifier("verify a loop of 50,000 rounds", long_loop) ||
			 measure_verifier("verify a scan of 1,400 bytes", payload_scan) ||
			 measure_compiler();
	return failed;
}
