/* SPDX-License-Identifier: MIT */
/*
 * What happens around threads: deadlocks, overflows, forks, signals, wakes from outside, loops of
 * the program's, workers that are stuck, policies of the program's.
 */
#include "uthread_test.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- deadlocks ----------------------------------------------------------------------------- */

static char report[65536];
static uthread_mutex_t mutexes[2];

static void keep_report(void *context, const char *text)
{
	(void)context;
	snprintf(report, sizeof(report), "%s", text);
}

static void *lock_both(void *argument)
{
	const unsigned first = argument != NULL;

	uthread_mutex_lock(&mutexes[first]);
	uthread_sleep_ms(2);
	uthread_mutex_lock(&mutexes[!first]);
	return NULL;
}

static void *embrace(void *unused)
{
	uthread_attr_t attr;
	uthread_t threads[2];

	for (uintptr_t i = 0; i < 2; i++) {
		uthread_mutex_init(&mutexes[i], UTHREAD_MUTEX_NORMAL);
		uthread_attr_init(&attr);
		uthread_attr_setname(&attr, i == 0 ? "adam" : "eve");
		uthread_create(&threads[i], &attr, lock_both, (void *)i);
	}
	uthread_join(threads[0], NULL);
	return unused;
}

static void check_report(uint32_t workers)
{
	const struct uthread_options options = {
		.size = sizeof(options), .workers = workers, .report = keep_report};
	void *result = report;

	report[0] = 0;
	CHECK_INT(uthread_run(&options, embrace, NULL, &result), -EDEADLK);
	CHECK(result == report);
	CHECK(strstr(report, "all 3 threads") != NULL);
	CHECK(strstr(report, "thread 'adam'") != NULL);
	CHECK(strstr(report, "thread 'eve'") != NULL);
	CHECK(strstr(report, "waits for mutex") != NULL);
	CHECK(strstr(report, "which thread 'eve' 0x") != NULL);
	CHECK(strstr(report, "waits for the end of thread") != NULL);
	/* Each with its calls: the program's own frames are among them. */
	CHECK(strstr(report, "uthread-around(") != NULL);
}

static void test_deadlock_is_reported_with_waits_and_calls(void **state)
{
	(void)state;
	check_report(1);
	check_report(3);
}

static struct uthread_parker helper;
static uthread_sem_t stuck_at;
static unsigned reports;

static void call_helper(void *context, const char *text)
{
	(void)context;
	CHECK(strstr(text, "semaphore") != NULL);
	reports++;
	uthread_unpark(&helper);
}

static void *help_twice(void *unused)
{
	for (unsigned i = 0; i < 2; i++) {
		CHECK_INT(uthread_stand_by(&helper, UTHREAD_NEVER), 0);
		CHECK_INT(uthread_sem_post(&stuck_at), 0);
	}
	return unused;
}

static void *get_stuck_twice(void *argument)
{
	uthread_t thread;

	CHECK_INT(uthread_parker_init(&helper), 0);
	CHECK_INT(uthread_sem_init(&stuck_at, 0), 0);
	CHECK_INT(uthread_create(&thread, NULL, help_twice, NULL), 0);
	CHECK_INT(uthread_sem_wait(&stuck_at), 0);
	CHECK_INT(uthread_sem_wait(&stuck_at), 0);
	CHECK_INT(uthread_join(thread, NULL), 0);
	return argument;
}

static void test_deadlock_can_be_ended_by_who_stands_by(void **state)
{
	(void)state;
	test_options.flags = UTHREAD_DEADLOCK_GOES_ON;
	test_options.report = call_helper;
	for (uint32_t workers = 1; workers <= 3; workers += 2) {
		test_options.workers = workers;
		reports = 0;
		test_run(get_stuck_twice);
		CHECK_INT(reports, 2);
	}
	test_options = (struct uthread_options){.size = sizeof(test_options), .workers = 1};
}

/* ---- overflows ----------------------------------------------------------------------------- */

static volatile int depth;

static __attribute__((noinline)) int dig(int level)
{
	volatile char hole[512];

	hole[0] = (char)level;
	depth = level;
	return level == INT_MAX ? 0 : dig(level + 1) + hole[0];
}

static void *overflow(void *unused)
{
	dig(0);
	return unused;
}

static volatile int *volatile nothing_there;

static void *touch_nothing(void *unused)
{
	*nothing_there = 1;
	return unused;
}

static void *start_digger(void *unused)
{
	uthread_attr_t attr;
	uthread_t thread;

	uthread_attr_init(&attr);
	uthread_attr_setname(&attr, "digger");
	uthread_create(&thread, &attr, overflow, NULL);
	uthread_join(thread, NULL);
	return unused;
}

/** What this program wrote to standard error when run with that argument, and how it ended. */
static int run_child(const char *fault, char *text, size_t bytes)
{
	int pipe_files[2], status;
	size_t length = 0;
	ssize_t got;
	pid_t child;

	CHECK_INT(pipe(pipe_files), 0);
	child = fork();
	if (child == 0) {
		dup2(pipe_files[1], STDERR_FILENO);
		execl("/proc/self/exe", "around", fault, NULL);
		_exit(99);
	}
	close(pipe_files[1]);
	while (length < bytes - 1 &&
	       (got = read(pipe_files[0], text + length, bytes - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = 0;
	close(pipe_files[0]);
	CHECK_INT(waitpid(child, &status, 0), child);
	return status;
}

/** Without cmocka, which has a handler of its own for this signal. */
static int commit_fault(const char *fault)
{
	const struct uthread_options options = {
		.size = sizeof(options),
		.flags = strcmp(fault, "classic-overflow") == 0     ? UTHREAD_CLASSIC_GUARDS
			 : strcmp(fault, "overflow-elsewhere") == 0 ? UTHREAD_BOUND_THREADS
								    : 0,
		.workers = strcmp(fault, "overflow-elsewhere") == 0 ? 2 : 1,
	};
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	return uthread_run(&options, strcmp(fault, "other") == 0 ? touch_nothing : start_digger,
			   NULL, NULL);
}

static void check_overflow(const char *fault)
{
	static char text[65536];
	const int status = run_child(fault, text, sizeof(text));

	CHECK(strstr(text, "thread 'digger' ran over the end of its stack of 6") != NULL);
	if (UNDER_SANITIZER)
		CHECK(status != 0);
	else
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void test_overflow_names_the_thread_and_ends_as_usual(void **state)
{
	(void)state;
	check_overflow("overflow");
	check_overflow("classic-overflow");
	/* On another worker than the one that called uthread_run(). */
	check_overflow("overflow-elsewhere");
}

static void test_other_faults_are_not_called_overflows(void **state)
{
	static char text[65536];

	(void)state;
	CHECK(run_child("other", text, sizeof(text)) != 0);
	CHECK(strstr(text, "ran over") == NULL);
}

/* ---- limits -------------------------------------------------------------------------------- */

static uthread_sem_t gate;

static void *wait_at_gate(void *unused)
{
	uthread_sem_wait(&gate);
	return unused;
}

static void *fill_memory(void *argument)
{
	static uthread_t threads[20000];
	unsigned made = 0;
	int error;

	uthread_sem_init(&gate, 0);
	while ((error = uthread_create(&threads[made], NULL, wait_at_gate, NULL)) == 0)
		CHECK(++made < 20000);
	CHECK_INT(error, -EAGAIN);
	CHECK(strstr(uthread_error(), "cannot have one more stack of 65536 bytes") != NULL);
	CHECK(made > 100);
	for (unsigned i = 0; i < made; i++)
		CHECK_INT(uthread_sem_post(&gate), 0);
	for (unsigned i = 0; i < made; i++)
		CHECK_INT(uthread_join(threads[i], NULL), 0);
	/* What was refused once works again. */
	CHECK_INT(uthread_create(&threads[0], NULL, wait_at_gate, NULL), 0);
	CHECK_INT(uthread_sem_post(&gate), 0);
	CHECK_INT(uthread_join(threads[0], NULL), 0);
	return argument;
}

static void test_no_memory_for_stacks_is_an_error(void **state)
{
	struct rlimit before, little;

	(void)state;
	if (UNDER_SANITIZER)
		skip();
	CHECK_INT(getrlimit(RLIMIT_AS, &before), 0);
	little = before;
	little.rlim_cur = UINT64_C(300) << 20;
	CHECK_INT(setrlimit(RLIMIT_AS, &little), 0);
	test_run(fill_memory);
	CHECK_INT(setrlimit(RLIMIT_AS, &before), 0);
}

static void test_options_are_checked(void **state)
{
	struct uthread_scheduler *scheduler = NULL;
	struct uthread_options options = {.size = 4};

	(void)state;
	CHECK_INT(uthread_run(&options, wait_at_gate, NULL, NULL), -EINVAL);
	options = (struct uthread_options){.size = sizeof(options), .workers = 1025};
	CHECK_INT(uthread_run(&options, wait_at_gate, NULL, NULL), -EINVAL);
	CHECK(strstr(uthread_error(), "1025") != NULL);
	options = (struct uthread_options){.size = sizeof(options), .stack_bytes = 4096};
	CHECK_INT(uthread_run(&options, wait_at_gate, NULL, NULL), -EINVAL);
	options = (struct uthread_options){.size = sizeof(options), .flags = 0x80};
	CHECK_INT(uthread_run(&options, wait_at_gate, NULL, NULL), -EINVAL);
	options = (struct uthread_options){.size = sizeof(options), .workers = 2};
	CHECK_INT(uthread_scheduler_create(&options, &scheduler), -EINVAL);
	CHECK(scheduler == NULL);
	uthread_scheduler_destroy(NULL);
}

/* ---- stacks -------------------------------------------------------------------------------- */

#define MANY 10000

static uintptr_t places[MANY];

static void *note_place(void *place)
{
	*(uintptr_t *)place = (uintptr_t)__builtin_frame_address(0);
	return NULL;
}

static int compare_places(const void *a, const void *b)
{
	const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static unsigned count_mappings(void)
{
	FILE *const file = fopen("/proc/self/maps", "r");
	unsigned lines = 0;
	int c;

	CHECK(file != NULL);
	while ((c = getc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

/** All are there before the first one runs, and one follows another on the same few stacks. */
static void *create_many(void *argument)
{
	uthread_t *const threads = calloc(MANY, sizeof(*threads));
	struct uthread_info info;
	unsigned stacks = 1, mappings = count_mappings();

	for (unsigned i = 0; i < MANY; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, note_place, &places[i]), 0);
	CHECK_INT(uthread_describe(&info), 0);
	CHECK(info.stacks > MANY);
	mappings = count_mappings() - mappings;
	CHECK(info.light_guards ? mappings < 100 : mappings > MANY);
	for (unsigned i = 0; i < MANY; i++)
		CHECK_INT(uthread_join(threads[i], NULL), 0);
	qsort(places, MANY, sizeof(places[0]), compare_places);
	for (unsigned i = 1; i < MANY; i++)
		stacks += places[i] != places[i - 1];
	CHECK(stacks <= 4);
	free(threads);
	return argument;
}

static void test_threads_that_never_wait_share_stacks(void **state)
{
	(void)state;
	test_run(create_many);
}

/* ---- forks --------------------------------------------------------------------------------- */

static volatile unsigned others;

static void *run_beside(void *unused)
{
	for (;;) {
		others++;
		if (uthread_yield() != 0 || uthread_testcancel() != 0)
			return unused;
	}
}

static void *fork_and_look(void *argument)
{
	uthread_t thread;
	unsigned seen;
	int status;
	pid_t child;

	CHECK_INT(uthread_create(&thread, NULL, run_beside, NULL), 0);
	CHECK_INT(uthread_sleep_ms(2), 0);
	child = fork();
	seen = others;
	if (child == 0) {
		uthread_t another;

		/* The child has this thread alone, and can make others. */
		for (unsigned i = 0; i < 100; i++)
			uthread_yield();
		CHECK_INT(others, seen);
		CHECK_INT(uthread_sem_init(&gate, 1), 0);
		CHECK_INT(uthread_create(&another, NULL, wait_at_gate, NULL), 0);
		CHECK_INT(uthread_join(another, NULL), 0);
		CHECK_INT(uthread_sleep_ms(1), 0);
		_exit(33);
	}
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 33);
	CHECK_INT(uthread_cancel(thread), 0);
	CHECK_INT(uthread_join(thread, NULL), 0);
	return argument;
}

static void test_child_of_fork_has_the_calling_thread_only(void **state)
{
	(void)state;
	/* ThreadSanitizer follows no switch in the child of a fork. */
	if (UNDER_THREAD_SANITIZER)
		skip();
	test_options.workers = 1;
	test_run(fork_and_look);
	if (!UNDER_SANITIZER) {
		test_options.workers = 3;
		test_run(fork_and_look);
	}
	test_options.workers = 1;
}

/* ---- signals, wakes from outside ------------------------------------------------------------ */

static struct uthread_parker parker;
static volatile sig_atomic_t on_stack_of_thread;

static void wake_parked(int number)
{
	(void)number;
	on_stack_of_thread = uthread_self() != 0;
	uthread_unpark(&parker);
}

static void *wait_for_signal(void *argument)
{
	struct sigaction action = {.sa_handler = wake_parked};

	CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_INT(uthread_parker_init(&parker), 0);
	for (unsigned i = 0; i < 20; i++) {
		/* Before it waits, and while it does. */
		if (i % 2 == 0) {
			CHECK_INT(raise(SIGUSR1), 0);
			CHECK_INT(on_stack_of_thread, 1);
		} else {
			alarm(0);
			CHECK_INT(uthread_park(&parker, uthread_deadline(1)), -ETIMEDOUT);
			kill(getpid(), SIGUSR1);
		}
		CHECK_INT(uthread_park(&parker, UTHREAD_NEVER), 0);
	}
	return argument;
}

static void test_signal_handlers_wake_threads(void **state)
{
	(void)state;
	test_run(wait_for_signal);
}

#define KNOCKS 2000

static pthread_t knocker;
static unsigned knocks_answered;

static void *knock(void *unused)
{
	for (unsigned i = 0; i < KNOCKS; i++) {
		while (__atomic_load_n(&knocks_answered, __ATOMIC_ACQUIRE) != i)
			;
		uthread_unpark(&parker);
	}
	return unused;
}

static void *answer(void *argument)
{
	CHECK_INT(uthread_parker_init(&parker), 0);
	knocks_answered = 0;
	CHECK_INT(pthread_create(&knocker, NULL, knock, NULL), 0);
	for (unsigned i = 0; i < KNOCKS; i++) {
		int result;

		/* Deadlines and wakes cross. */
		do
			result = uthread_park(&parker, uthread_deadline(0) + 20000);
		while (result == -ETIMEDOUT);
		CHECK_INT(result, 0);
		__atomic_store_n(&knocks_answered, i + 1, __ATOMIC_RELEASE);
	}
	CHECK_INT(pthread_join(knocker, NULL), 0);
	return argument;
}

static void test_each_wake_from_outside_arrives_once(void **state)
{
	(void)state;
	test_run(answer);
	test_options.workers = 3;
	test_run(answer);
	test_options.workers = 1;
}

/* ---- loops of the program's ---------------------------------------------------------------- */

static unsigned steps;

static void *step(void *unused)
{
	steps++;
	uthread_yield();
	steps++;
	uthread_sleep_ms(1);
	steps++;
	return unused;
}

static void test_program_turns_a_scheduler_itself(void **state)
{
	struct uthread_scheduler *scheduler;
	struct uthread_turn left;

	(void)state;
	steps = 0;
	CHECK_INT(uthread_scheduler_create(NULL, &scheduler), 0);
	CHECK_INT(uthread_scheduler_spawn(scheduler, NULL, NULL, step, NULL), 0);
	CHECK_INT(uthread_scheduler_spawn(scheduler, NULL, NULL, step, NULL), 0);
	CHECK(uthread_turn(scheduler, &left) > 0);
	CHECK_INT(steps, 4);
	CHECK_INT(left.threads, 2);
	CHECK(left.deadline_ns != UTHREAD_NEVER);
	while (uthread_deadline(0) <= left.deadline_ns + 100000)
		;
	CHECK(uthread_turn(scheduler, &left) > 0);
	CHECK_INT(steps, 6);
	CHECK_INT(left.threads, 0);
	CHECK(left.deadline_ns == UTHREAD_NEVER);
	CHECK_INT(uthread_turn(scheduler, NULL), 0);
	uthread_scheduler_destroy(scheduler);
}

/* ---- workers that are stuck ---------------------------------------------------------------- */

static unsigned beside;

static void *hog(void *unused)
{
	/* A system call that really blocks, unknown to the library. */
	while (__atomic_load_n(&beside, __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	return unused;
}

static void *run_meanwhile(void *unused)
{
	__atomic_store_n(&beside, 1, __ATOMIC_RELEASE);
	return unused;
}

static void *get_stuck(void *argument)
{
	struct uthread_info info;
	uthread_t threads[2];

	beside = 0;
	CHECK_INT(uthread_create(&threads[0], NULL, run_meanwhile, NULL), 0);
	CHECK_INT(uthread_create(&threads[1], NULL, hog, NULL), 0);
	/* With one worker, only a spare one can let the first go on. */
	CHECK_INT(uthread_join(threads[1], NULL), 0);
	CHECK_INT(uthread_join(threads[0], NULL), 0);
	CHECK_INT(uthread_describe(&info), 0);
	CHECK(info.stuck > 0);
	CHECK_INT(info.spare_workers, 1);
	return argument;
}

static void test_spare_worker_takes_over_from_one_that_is_stuck(void **state)
{
	(void)state;
	test_options.spare_workers = 1;
	test_options.tick_ms = 2;
	test_run(get_stuck);
	test_options.spare_workers = 0;
	test_options.tick_ms = 0;
}

/* ---- workers, and whose threads are -------------------------------------------------------- */

#define BOUND 12

static _Thread_local unsigned of_kernel_thread;
static pthread_t carriers[BOUND];

/** What the compiler would have to fetch anew if threads moved. */
static void *keep_place(void *argument)
{
	const uintptr_t index = (uintptr_t)argument;
	unsigned *const own = &of_kernel_thread;

	carriers[index] = pthread_self();
	for (unsigned i = 0; i < 50; i++) {
		errno = (int)index;
		CHECK_INT(i % 2 ? uthread_yield() : uthread_sleep_ms(1), 0);
		CHECK(own == &of_kernel_thread && errno == (int)index);
		CHECK(pthread_equal(pthread_self(), carriers[index]));
	}
	return NULL;
}

static void *bind_many(void *argument)
{
	const pthread_t first = pthread_self();
	struct uthread_info info;
	uthread_t threads[BOUND];
	uthread_attr_t attr;
	unsigned beside_first = 0;

	for (uintptr_t i = 0; i < BOUND; i++)
		CHECK_INT(uthread_create(&threads[i], NULL, keep_place, (void *)i), 0);
	for (unsigned i = 0; i < BOUND; i++) {
		CHECK_INT(uthread_join(threads[i], NULL), 0);
		beside_first += !!pthread_equal(carriers[i], first);
	}
	/* Three workers, of which the first has the caller as well. */
	CHECK(pthread_equal(pthread_self(), first) && beside_first == 4);
	uthread_attr_init(&attr);
	CHECK_INT(uthread_attr_setworker(&attr, 0), 0);
	for (uintptr_t i = 0; i < 3; i++) {
		CHECK_INT(uthread_create(&threads[i], &attr, keep_place, (void *)i), 0);
		CHECK_INT(uthread_join(threads[i], NULL), 0);
		CHECK(pthread_equal(carriers[i], first));
	}
	CHECK_INT(uthread_attr_setworker(&attr, 3), 0);
	CHECK_INT(uthread_create(&threads[0], &attr, keep_place, NULL), -EINVAL);
	CHECK_INT(uthread_attr_setworker(&attr, UTHREAD_WORKERS_MAX), -EINVAL);
	CHECK_INT(uthread_describe(&info), 0);
	CHECK_INT(info.steals, 0);
	return argument;
}

static void test_bound_threads_keep_their_worker(void **state)
{
	(void)state;
	test_options.workers = 3;
	test_options.flags = UTHREAD_BOUND_THREADS;
	test_run(bind_many);
	test_options.spare_workers = 1;
	CHECK_INT(uthread_run(&test_options, bind_many, NULL, NULL), -EINVAL);
	test_options.spare_workers = 0;
	test_options.workers = 1;
	test_options.flags = 0;
}

static void *count_workers(void *argument)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct uthread_info info;
	uthread_attr_t attr;
	uthread_t thread;

	CHECK_INT(uthread_describe(&info), 0);
	CHECK(info.workers >= 1 && info.workers <= cpus);
	uthread_attr_init(&attr);
	CHECK_INT(uthread_attr_setworker(&attr, 0), 0);
	CHECK_INT(uthread_create(&thread, &attr, keep_place, NULL), -EINVAL);
	return argument;
}

static void *count_one(void *argument)
{
	struct uthread_info info;

	CHECK_INT(uthread_describe(&info), 0);
	CHECK_INT(info.workers, 1);
	return argument;
}

static void test_there_is_a_worker_for_each_cpu(void **state)
{
	cpu_set_t all, one;
	size_t cpu = 0;

	(void)state;
	test_options.workers = 0;
	test_run(count_workers);
	CHECK_INT(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK_INT(sched_setaffinity(0, sizeof(one), &one), 0);
	test_run(count_one);
	CHECK_INT(sched_setaffinity(0, sizeof(all), &all), 0);
	test_options.workers = 1;
}

static void *become_known(void *argument)
{
	__atomic_store_n((bool *)argument, true, __ATOMIC_RELEASE);
	return NULL;
}

/** One that computes until another one ran, which an idle worker has to take from its queue. */
static void *compute(void *argument)
{
	struct uthread_info info;
	uthread_t thread;
	bool ran = false;

	CHECK_INT(uthread_create(&thread, NULL, become_known, &ran), 0);
	while (!__atomic_load_n(&ran, __ATOMIC_ACQUIRE))
		sched_yield();
	CHECK_INT(uthread_join(thread, NULL), 0);
	CHECK_INT(uthread_describe(&info), 0);
	CHECK(info.steals > 0);
	return argument;
}

static void test_idle_workers_steal(void **state)
{
	(void)state;
	test_options.workers = 2;
	test_run(compute);
	test_options.workers = 1;
}

/* ---- policies ------------------------------------------------------------------------------ */

static char order[16];

static void *sign(void *argument)
{
	strncat(order, argument, 1);
	return NULL;
}

static void create_with(const char *name, int priority, uint64_t deadline_ns)
{
	uthread_attr_t attr;

	uthread_attr_init(&attr);
	uthread_attr_setdetachstate(&attr, UTHREAD_CREATE_DETACHED);
	uthread_attr_setpriority(&attr, priority);
	uthread_attr_setdeadline(&attr, deadline_ns);
	CHECK_INT(uthread_create(NULL, &attr, sign, (void *)(uintptr_t)name), 0);
}

static void *create_four(void *argument)
{
	order[0] = 0;
	create_with("a", 1, 400);
	create_with("b", 9, 100);
	create_with("c", 9, UTHREAD_NEVER);
	create_with("d", 3, 200);
	return argument;
}

static void test_policies_order_threads(void **state)
{
	const struct {
		const struct uthread_policy *policy;
		const char *order;
	} cases[] = {
		{&uthread_policy_fifo, "abcd"},
		{&uthread_policy_stealing, "dcba"},
		{&uthread_policy_priority, "bcda"},
		{&uthread_policy_deadline, "bdac"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_options.policy = cases[i].policy;
		test_run(create_four);
		CHECK(strcmp(order, cases[i].order) == 0);
	}
	test_options.policy = NULL;
}

static uthread_sem_t called;

static void *sign_when_called(void *name)
{
	CHECK_INT(uthread_sem_wait(&called), 0);
	return sign(name);
}

/** "w" waits, and is woken after "a" and "b" were queued. */
static void *wake_last(void *argument)
{
	uthread_attr_t attr;

	order[0] = 0;
	CHECK_INT(uthread_sem_init(&called, 0), 0);
	uthread_attr_init(&attr);
	uthread_attr_setdetachstate(&attr, UTHREAD_CREATE_DETACHED);
	CHECK_INT(uthread_create(NULL, &attr, sign_when_called, (void *)(uintptr_t) "w"), 0);
	CHECK_INT(uthread_yield(), 0);
	create_with("a", 0, 0);
	create_with("b", 0, 0);
	CHECK_INT(uthread_sem_post(&called), 0);
	return argument;
}

static void test_woken_threads_are_handed_over_to(void **state)
{
	(void)state;
	test_options.policy = &uthread_policy_stealing;
	test_run(wake_last);
	CHECK(strcmp(order, "wba") == 0);
	test_options.policy = &uthread_policy_priority;
	test_run(wake_last);
	CHECK(strcmp(order, "abw") == 0);
	test_options.policy = NULL;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlock_is_reported_with_waits_and_calls),
		cmocka_unit_test(test_deadlock_can_be_ended_by_who_stands_by),
		cmocka_unit_test(test_overflow_names_the_thread_and_ends_as_usual),
		cmocka_unit_test(test_other_faults_are_not_called_overflows),
		cmocka_unit_test(test_no_memory_for_stacks_is_an_error),
		cmocka_unit_test(test_threads_that_never_wait_share_stacks),
		cmocka_unit_test(test_options_are_checked),
		cmocka_unit_test(test_child_of_fork_has_the_calling_thread_only),
		cmocka_unit_test(test_signal_handlers_wake_threads),
		cmocka_unit_test(test_each_wake_from_outside_arrives_once),
		cmocka_unit_test(test_program_turns_a_scheduler_itself),
		cmocka_unit_test(test_spare_worker_takes_over_from_one_that_is_stuck),
		cmocka_unit_test(test_bound_threads_keep_their_worker),
		cmocka_unit_test(test_there_is_a_worker_for_each_cpu),
		cmocka_unit_test(test_idle_workers_steal),
		cmocka_unit_test(test_policies_order_threads),
		cmocka_unit_test(test_woken_threads_are_handed_over_to),
	};

	if (count > 1)
		return commit_fault(arguments[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
