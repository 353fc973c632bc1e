/* SPDX-License-Identifier: MIT */
/*
 * What is said of a deadlock: each thread, what it waits for, and its calls. A thread's calls are
 * found by asking it: it is switched to, takes its own backtrace where uthread_leave() returns, and
 * comes back.
 */
#include "uthread_internal.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** Of more threads than this, only the number is told. */
#define THREADS_SHOWN 100

struct report {
	FILE *out;
	struct uthread_worker *worker;
	unsigned shown;
	unsigned left_out;
};

void uthread_inspect_self(struct uthread_inspection *inspection)
{
	inspection->count = backtrace(inspection->frames, UTHREAD_FRAMES_MOST);
}

static void show_calls(struct report *report, const struct uthread_inspection *inspection)
{
	char **const symbols = backtrace_symbols(inspection->frames, inspection->count);

	for (int i = 0; symbols != NULL && i < inspection->count; i++)
		fprintf(report->out, "    %s\n", symbols[i]);
	free(symbols);
}

static void show_wait(struct report *report, const struct uthread *thread)
{
	const uthread_mutex_t *const mutex = thread->object;
	const struct uthread *other = NULL;

	if (thread->why == UTHREAD_WHY_MUTEX)
		other = (const struct uthread *)(mutex->owner & ~(uintptr_t)1);
	else if (thread->why == UTHREAD_WHY_JOIN)
		other = thread->object;
	fprintf(report->out, "  thread '%s' 0x%llx waits for %s %p", thread->name,
		(unsigned long long)uthread_id(thread),
		uthread_why_name((enum uthread_why)thread->why), thread->object);
	if (thread->why == UTHREAD_WHY_MUTEX && other != NULL)
		fprintf(report->out, ", which thread '%s' 0x%llx has", other->name,
			(unsigned long long)uthread_id(other));
	else if (thread->why == UTHREAD_WHY_JOIN)
		fprintf(report->out, ", which is '%s' 0x%llx", other->name,
			(unsigned long long)uthread_id(other));
	fputs("\n", report->out);
}

static void show_thread(struct uthread *thread, void *context)
{
	struct uthread_inspection inspection = {.count = 0};
	struct report *const report = context;

	if (atomic_load(&thread->life) != UTHREAD_LIFE_ALIVE ||
	    uthread_wait_state(atomic_load(&thread->wait)) != UTHREAD_WAIT_PARKED)
		return;
	if (report->shown == THREADS_SHOWN) {
		report->left_out++;
		return;
	}
	report->shown++;
	show_wait(report, thread);
	report->worker->inspection = &inspection;
	uthread_inspect(report->worker, thread);
	report->worker->inspection = NULL;
	show_calls(report, &inspection);
}

static void write_report(struct uthread_worker *worker, FILE *out)
{
	struct report report = {.out = out, .worker = worker};
	void *frame;

	/* The first call loads what it needs, for which a thread's stack may be too small. */
	(void)backtrace(&frame, 1);
	fprintf(out, "uthread: deadlock: all %u threads wait, and nothing can wake one\n",
		atomic_load(&worker->scheduler->live));
	uthread_threads_visit(worker->scheduler, show_thread, &report);
	if (report.left_out > 0)
		fprintf(out, "  and %u more\n", report.left_out);
}

void uthread_report_deadlock(struct uthread_worker *worker)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;
	char *text = NULL;
	size_t bytes = 0;
	FILE *const out = open_memstream(&text, &bytes);

	if (out == NULL)
		return;
	write_report(worker, out);
	if (fclose(out) == 0) {
		if (scheduler->report != NULL)
			scheduler->report(scheduler->report_context, text);
		else if (write(STDERR_FILENO, text, bytes) < 0)
			base_error_errno(errno, "cannot write the report of a deadlock");
	}
	free(text);
}
