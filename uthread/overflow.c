/* SPDX-License-Identifier: MIT */
/*
 * Says which thread ran over the end of its stack, before SIGSEGV does what it would have done. The
 * handler runs on a stack of its own, one for each thread of the kernel that is a worker, and
 * passes every fault on to the handler that was there before.
 */
#include "uthread_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIGNAL_STACK_BYTES (64U << 10)

static struct sigaction previous;
static pthread_once_t watched = PTHREAD_ONCE_INIT;
static pthread_key_t stack_key;

/* ---- the message: no formatting of the C library is safe here ------------------------------- */

struct line {
	char text[160];
	size_t length;
};

static void add_text(struct line *line, const char *text)
{
	while (*text != 0 && line->length < sizeof(line->text))
		line->text[line->length++] = *text++;
}

static void add_number(struct line *line, uint64_t number)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	add_text(line, digits + at);
}

static void tell(const struct uthread *thread)
{
	struct line line = {.length = 0};

	add_text(&line, "uthread: thread '");
	add_text(&line, thread->name);
	add_text(&line, "' ran over the end of its stack of ");
	add_number(&line, thread->context.bytes);
	add_text(&line, " bytes\n");
	if (write(STDERR_FILENO, line.text, line.length) < 0)
		return;
}

/* ---- the handler --------------------------------------------------------------------------- */

static bool is_in_guard(const struct uthread *thread, const void *address)
{
	const uintptr_t bottom = (uintptr_t)thread->context.bottom;

	return (uintptr_t)address - bottom < (uintptr_t)sysconf(_SC_PAGESIZE);
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(number, info, context);
		return;
	}
	if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(number);
		return;
	}
	/* The instruction faults again, where a core dump shows it. */
	signal(number, SIG_DFL);
	if (info->si_code <= 0)
		raise(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	const struct uthread *const thread = uthread_current();

	if (thread != NULL && info->si_code > 0 && is_in_guard(thread, info->si_addr))
		tell(thread);
	pass_on(number, info, context);
}

static void free_stack(void *stack)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	sigaltstack(&none, NULL);
	munmap(stack, SIGNAL_STACK_BYTES);
}

static void watch(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	if (pthread_key_create(&stack_key, free_stack) == 0)
		sigaction(SIGSEGV, &action, &previous);
}

void uthread_overflow_watch(void)
{
	pthread_once(&watched, watch);
}

void uthread_overflow_admit(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void uthread_overflow_attach(void)
{
	stack_t stack;

	if (sigaltstack(NULL, &stack) != 0 || !(stack.ss_flags & SS_DISABLE))
		return;
	stack = (stack_t){.ss_size = SIGNAL_STACK_BYTES};
	stack.ss_sp = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack.ss_sp == MAP_FAILED)
		return;
	if (sigaltstack(&stack, NULL) != 0 || pthread_setspecific(stack_key, stack.ss_sp) != 0)
		munmap(stack.ss_sp, SIGNAL_STACK_BYTES);
}
