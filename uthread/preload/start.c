/* SPDX-License-Identifier: MIT */
/*
 * Where a preloaded program begins: whether it can be carried, main() in a userland thread, fork(),
 * and the report at the end.
 *
 * A program is carried whole or not at all, since userland threads and threads of the kernel cannot
 * wait for one another's objects. It is not when it has thread-local variables of its own: threads
 * that share a worker would share them. Those of a few libraries may be shared, as they hold
 * nothing from one call to the next that differs between threads, or are put back; those of known
 * allocators as well, see allocators.c.
 */
#include "preload_internal.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAIN_STACK_BYTES   (8U << 20)
#define THREAD_STACK_BYTES (1U << 20)

typedef int main_fn(int, char **, char **);
typedef int start_main_fn(main_fn *, int, char **, void (*)(void), void (*)(void), void (*)(void),
			  void *);

int __libc_start_main(main_fn *program, int count, char **words, void (*init)(void),
		      void (*finish)(void), void (*loader_finish)(void), void *stack_end);

bool preload_is_carried;

static struct {
	main_fn *program;
	int count;
	char **words;
	char **environment;
	/** A module with thread-local variables; NULL. */
	const char *tls_module;
	const char *why_not;
	unsigned workers;
	bool reports;
	pid_t pid;
} run;

void *preload_find(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* ---- whether
 * ------------------------------------------------------------------------------------------ */

/** Libraries whose thread-local variables threads may share. */
static bool may_be_shared(const char *name)
{
	static const char *const names[] = {"libc.so",      "ld-linux",        "libuthread",
					    "libasys",      "libuthread-asys", "libstdc++.so",
					    "libsystemd.so"};
	const char *const base = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(base, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int look_for_tls(struct dl_phdr_info *info, size_t size, void *found)
{
	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_TLS || info->dlpi_phdr[i].p_memsz == 0 ||
		    (info->dlpi_name[0] != 0 &&
		     (may_be_shared(info->dlpi_name) || preload_is_allocator(info->dlpi_name))))
			continue;
		*(const char **)found = info->dlpi_name[0] != 0 ? info->dlpi_name : "the program";
		return 1;
	}
	return 0;
}

/** Why the program cannot be carried; NULL when it can. */
static const char *find_reason(void)
{
	static char text[512];
	const char *module = NULL;

	if (getenv("UTHREAD_PRELOAD_SHARE_TLS") != NULL)
		return NULL;
	dl_iterate_phdr(look_for_tls, &module);
	if (module == NULL)
		return NULL;
	snprintf(text, sizeof(text), "%s has thread-local variables", module);
	return text;
}

/* ---- running
 * ----------------------------------------------------------------------------------------- */

static void *run_main(void *unused)
{
	(void)unused;
	exit(run.program(run.count, run.words, run.environment));
}

/** The first thread of the scheduler: makes the one for main(), and serves. */
static void *service_main(void *unused)
{
	uthread_attr_t attr;
	uthread_t thread;

	(void)unused;
	uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, NULL);
	uthread_attr_init(&attr);
	uthread_attr_setstacksize(&attr, MAIN_STACK_BYTES);
	uthread_attr_setname(&attr, "main");
	uthread_attr_setworker(&attr, 0);
	preload_main.start = run_main;
	if (uthread_create(&thread, &attr, preload_thread_main, &preload_main) != 0)
		abort();
	preload_serve_init(thread);
	preload_serve();
	return NULL;
}

static void *service_again(void *unused)
{
	(void)unused;
	uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, NULL);
	preload_serve();
	return NULL;
}

/** Told once: the program waits on as it would have, and a signal may still end that. */
static void tell_deadlock(void *unused, const char *text)
{
	static bool told;

	(void)unused;
	if (told || !run.reports)
		return;
	told = true;
	fputs(text, stderr);
}

static int carried_main(int count, char **words, char **environment)
{
	const struct uthread_options options = {
		.size = sizeof(options),
		.flags = UTHREAD_BOUND_THREADS | UTHREAD_DEADLOCK_GOES_ON,
		.workers = run.workers,
		.stack_bytes = THREAD_STACK_BYTES,
		.hooks = preload_hooks(),
		.report = tell_deadlock,
	};
	int error;

	run.count = count;
	run.words = words;
	run.environment = environment;
	run.pid = getpid();
	preload_is_carried = true;
	preload_exceptions = (void *(*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "__cxa_get_globals");
	real.pthread_sigmask(SIG_BLOCK, NULL, &preload_main.mask);
	error = uthread_run(&options, service_main, NULL, NULL);
	/* Without threads it still runs, as if nothing had been preloaded. */
	preload_is_carried = false;
	run.why_not = error != 0 ? uthread_error() : "its threads ended";
	return run.program(count, words, environment);
}

static void read_settings(void)
{
	const char *const workers = getenv("UTHREAD_PRELOAD_WORKERS");

	run.workers = workers != NULL ? (unsigned)atoi(workers) : 1;
	run.reports = getenv("UTHREAD_PRELOAD_REPORT") != NULL;
	run.pid = getpid();
}

int __libc_start_main(main_fn *program, int count, char **words, void (*init)(void),
		      void (*finish)(void), void (*loader_finish)(void), void *stack_end)
{
	start_main_fn *real_start;

	real_find();
	*(void **)&real_start = preload_find("__libc_start_main");
	read_settings();
	run.program = program;
	run.why_not = find_reason();
	if (run.why_not == NULL) {
		preload_spare_allocators();
		program = carried_main;
	}
	return real_start(program, count, words, init, finish, loader_finish, stack_end);
}

/** In the child of a fork there is the caller's thread, and a service again. */
pid_t fork(void)
{
	struct preload_thread *const self = preload_self;
	const pid_t pid = real.fork();
	uthread_attr_t attr;
	uthread_t service;

	if (pid != 0 || self == NULL)
		return pid;
	atomic_store(&preload_alive, 1);
	preload_main.mask = self->mask;
	preload_main.mask_number = self->mask_number;
	uthread_attr_init(&attr);
	uthread_attr_setdetachstate(&attr, UTHREAD_CREATE_DETACHED);
	preload_serve_init(uthread_self());
	uthread_create(&service, &attr, service_again, NULL);
	preload_self = self;
	return 0;
}

/* ---- the report
 * ----------------------------------------------------------------------------------------- */

static unsigned long value(atomic_ulong *count)
{
	return atomic_load(count);
}

__attribute__((destructor)) static void report(void)
{
	if (!run.reports || run.pid != getpid())
		return;
	if (run.why_not != NULL)
		fprintf(stderr, "uthread: not carried: %s\n", run.why_not);
	else
		fprintf(stderr, "uthread: carried on %u workers\n", run.workers);
	fprintf(stderr,
		"uthread: %lu userland threads, %lu real threads, %lu calls carried, "
		"%lu shared objects left alone, %lu attributes ignored\n",
		value(&preload_counts.threads), value(&preload_counts.real_threads),
		value(&preload_counts.carried_calls), value(&preload_counts.shared_objects),
		value(&preload_counts.ignored));
}
