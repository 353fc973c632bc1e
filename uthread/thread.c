/* SPDX-License-Identifier: MIT */
/*
 * Creating threads, ending them, joining them. A thread is named by where it lies and by how often
 * that place was used, so that the name of one that is gone is told from those that came after it;
 * the memory of threads stays until the scheduler ends.
 */
#include "uthread_leave.h"

#include <sched.h>

#define GENERATION_BITS 23
#define ADDRESS_SHIFT   7
#define ADDRESS_BITS    (64 - GENERATION_BITS)

static_assert(_Alignof(struct uthread) == 1U << ADDRESS_SHIFT, "low bits of addresses are free");

/* ---- names --------------------------------------------------------------------------------- */

uthread_t uthread_id(const struct uthread *thread)
{
	return (uthread_t)thread->generation << ADDRESS_BITS |
	       (uthread_t)(uintptr_t)thread >> ADDRESS_SHIFT;
}

uthread_t uthread_self(void)
{
	const struct uthread *const self = uthread_current();

	return self != NULL ? uthread_id(self) : 0;
}

static int no_such_thread(uthread_t id)
{
	return base_error(ESRCH, "thread 0x%llx was joined, or was detached and has ended",
			  (unsigned long long)id);
}

/** The thread of that name with its bucket locked, or NULL. */
static struct uthread *find_and_lock(bool solo, uthread_t id)
{
	const uintptr_t address = (id & (((uthread_t)1 << ADDRESS_BITS) - 1)) << ADDRESS_SHIFT;
	struct uthread *const thread = (struct uthread *)address;

	if (thread == NULL)
		return NULL;
	uthread_lock_object(solo, thread);
	if (thread->generation == id >> ADDRESS_BITS &&
	    atomic_load_explicit(&thread->life, memory_order_relaxed) != UTHREAD_LIFE_FREE)
		return thread;
	uthread_unlock_object(solo, thread);
	return NULL;
}

/* ---- creating ------------------------------------------------------------------------------ */

static const uthread_attr_t default_attr = {.deadline_ns = UTHREAD_NEVER};

static int count_in(struct uthread_scheduler *scheduler)
{
	const unsigned live = uthread_count_up(scheduler->solo, &scheduler->live);

	if (base_likely(live <= scheduler->max_threads))
		return 0;
	uthread_count_down(scheduler->solo, &scheduler->live);
	return base_error(EAGAIN, "there are %u threads: max_threads allows no more", live - 1);
}

static void fill_in(struct uthread *thread, struct uthread_worker *worker,
		    const struct uthread_attr *attr)
{
	thread->node.deadline_ns = attr->deadline_ns;
	thread->node.priority = attr->priority;
	thread->worker = worker;
	thread->saved_errno = 0;
	thread->linked = false;
	thread->cancel_disabled = false;
	thread->cancelled = false;
	thread->cancel_type = UTHREAD_CANCEL_DEFERRED;
	atomic_store_explicit(&thread->cancel_wanted, false, memory_order_relaxed);
	atomic_store_explicit(&thread->gone, false, memory_order_relaxed);
	thread->detached = attr->detached;
	thread->joiner = NULL;
	memcpy(thread->name, attr->name, sizeof(thread->name));
}

/** Memory for a thread, and the promise of a stack; NULL with *@error. */
static struct uthread *allocate(struct uthread_worker *worker, const struct uthread_attr *attr,
				size_t stack_bytes, int *error)
{
	const unsigned stack_class = uthread_stack_class(stack_bytes);
	struct uthread *thread;

	*error = attr->stack == NULL ? uthread_stack_promise(worker->scheduler, stack_class) : 0;
	if (base_unlikely(*error != 0))
		return NULL;
	thread = uthread_memory_take(worker);
	if (base_unlikely(thread == NULL)) {
		if (attr->stack == NULL)
			uthread_count_down(worker->solo,
					   &worker->scheduler->classes[stack_class].promised);
		*error = base_error_errno(EAGAIN, "no memory for a thread");
		return NULL;
	}
	thread->stack_class = (uint8_t)(attr->stack == NULL ? stack_class : UTHREAD_STACK_CLASSES);
	thread->context.bottom = attr->stack;
	thread->context.bytes = attr->stack_bytes;
	return thread;
}

static int check_attr(const struct uthread_scheduler *scheduler, const struct uthread_attr *attr)
{
	if (attr->stack_bytes > UTHREAD_STACK_MAX)
		return base_error(EINVAL, "a stack of %zu bytes: at most %u are possible",
				  attr->stack_bytes, UTHREAD_STACK_MAX);
	if (attr->worker == 0)
		return 0;
	if (!(scheduler->flags & UTHREAD_BOUND_THREADS))
		return base_error(EINVAL, "worker %u: threads of this scheduler are not bound",
				  attr->worker - 1U);
	if (attr->worker > scheduler->workers_count)
		return base_error(EINVAL, "worker %u: there are %u", attr->worker - 1U,
				  scheduler->workers_count);
	return 0;
}

/** Whose a thread is to be where threads are bound. */
static struct uthread_worker *choose_home(struct uthread_scheduler *scheduler,
					  const struct uthread_attr *attr)
{
	struct uthread_worker *best = &scheduler->workers[0];

	if (attr->worker != 0)
		best = &scheduler->workers[attr->worker - 1];
	else if (scheduler->main_thread != NULL)
		for (unsigned i = 1; i < scheduler->workers_count; i++)
			if (atomic_load_explicit(&scheduler->workers[i].belonging,
						 memory_order_relaxed) <
			    atomic_load_explicit(&best->belonging, memory_order_relaxed))
				best = &scheduler->workers[i];
	atomic_fetch_add_explicit(&best->belonging, 1, memory_order_relaxed);
	return best;
}

static void join_nursery(bool solo, struct uthread *thread, struct uthread_nursery *nursery)
{
	thread->nursery = nursery;
	if (nursery == NULL)
		return;
	uthread_lock_object(solo, nursery);
	uthread_list_push(&nursery->children, &thread->sibling);
	if (nursery->result != 0)
		atomic_store(&thread->cancel_wanted, true);
	uthread_unlock_object(solo, nursery);
}

int uthread_spawn(struct uthread_worker *worker, struct uthread_scheduler *scheduler, uthread_t *id,
		  const struct uthread_attr *attr, void *(*start)(void *), void *argument,
		  struct uthread_nursery *nursery, void *slot)
{
	struct uthread *thread;
	size_t stack_bytes;
	int error;

	if (attr == NULL)
		attr = &default_attr;
	stack_bytes = attr->stack_bytes != 0 ? attr->stack_bytes : scheduler->stack_bytes;
	error = check_attr(scheduler, attr);
	if (error == 0)
		error = count_in(scheduler);
	if (error != 0)
		return error;
	thread = allocate(worker, attr, stack_bytes, &error);
	if (thread == NULL) {
		uthread_count_down(scheduler->solo, &scheduler->live);
		return error;
	}
	fill_in(thread, worker->bound ? choose_home(scheduler, attr) : worker, attr);
	thread->start = start;
	thread->argument = argument;
	uthread_context_inherit(&thread->context);
	thread->slot = slot;
	join_nursery(worker->solo, thread, nursery);
	atomic_store_explicit(&thread->life, UTHREAD_LIFE_ALIVE, memory_order_release);
	atomic_store_explicit(&worker->created,
			      atomic_load_explicit(&worker->created, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	if (id != NULL)
		*id = uthread_id(thread);
	if (scheduler->main_thread == NULL)
		scheduler->main_thread = thread;
	uthread_probe_create(thread, (uintptr_t)start);
	uthread_enqueue(worker, thread, UTHREAD_REASON_CREATED);
	return 0;
}

int uthread_create(uthread_t *id, const uthread_attr_t *attr, void *(*start)(void *),
		   void *argument)
{
	struct uthread_worker *const worker = uthread_here;

	if (worker == NULL || worker->current == NULL)
		return uthread_no_thread();
	return uthread_spawn(worker, worker->scheduler, id, attr, start, argument, NULL, NULL);
}

/* ---- ending -------------------------------------------------------------------------------- */

/** Gives back what nobody can name any more. */
static void recycle(struct uthread_worker *worker, struct uthread *thread)
{
	const bool solo = worker->solo;
	const uint32_t generation = (thread->generation + 1) & ((1U << GENERATION_BITS) - 1);

	uthread_lock_object(solo, thread);
	thread->generation = generation != 0 ? generation : 1;
	atomic_store_explicit(&thread->life, UTHREAD_LIFE_FREE, memory_order_relaxed);
	uthread_unlock_object(solo, thread);
	uthread_memory_give(worker, thread);
}

void uthread_ended(struct uthread_worker *worker, struct uthread *thread)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;

	uthread_stack_leave(worker, thread);
	if (thread->detached)
		recycle(worker, thread);
	else
		atomic_store_explicit(&thread->gone, true, memory_order_release);
	if (worker->bound)
		atomic_fetch_sub_explicit(&worker->belonging, 1, memory_order_relaxed);
	if (uthread_count_down(worker->solo, &scheduler->live) == 0)
		uthread_stop(scheduler);
}

static inline __attribute__((always_inline, noreturn)) void end(struct uthread *self, void *result)
{
	const bool solo = self->worker->solo;
	struct uthread *joiner;
	bool parked = false;

	if (self->worker->scheduler->main_thread == self)
		self->worker->scheduler->main_result = result;
	uthread_lock_object(solo, self);
	self->result = result;
	atomic_store_explicit(&self->life, UTHREAD_LIFE_ENDED, memory_order_relaxed);
	joiner = self->joiner;
	if (joiner != NULL && !uthread_claim(solo, joiner, UTHREAD_WAIT_WOKEN, &parked))
		self->joiner = NULL;
	uthread_unlock_object(solo, self);
	if (parked)
		uthread_ready(self->worker, joiner);
	uthread_leave_for_good(self);
}

/** What is the thread's own business at its end. */
static void clean_up(struct uthread *self, void *result)
{
	self->cancel_disabled = true;
	uthread_cleanups_run(self);
	if (self->own->specific != NULL)
		uthread_specific_finish(self);
	if (self->nursery != NULL)
		uthread_nursery_leave(self, result);
}

void uthread_exit(void *result)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		pthread_exit(result);
	clean_up(self, result);
	end(self, result);
}

void uthread_begin(struct uthread_worker *worker)
{
	struct uthread *const self = worker->current;
	void *result;

	uthread_fiber_begin(worker);
	uthread_arrive(worker);
	result = self->start(self->argument);
	if (base_unlikely(self->own->cleanups != NULL || self->own->specific != NULL ||
			  self->nursery != NULL))
		clean_up(self, result);
	end(self, result);
}

/* ---- joining ------------------------------------------------------------------------------- */

/** Takes the result of one that has ended and is the caller's to forget. */
static void reap(struct uthread *self, struct uthread *thread, void **result)
{
	/* It may still be on its way off its stack, on another worker. */
	for (unsigned tries = 0; !atomic_load_explicit(&thread->gone, memory_order_acquire);)
		if (++tries % 128 == 0)
			sched_yield();
	if (result != NULL)
		*result = thread->result;
	recycle(self->worker, thread);
}

static int check_joinable(const struct uthread *self, const struct uthread *thread)
{
	if (thread == self)
		return base_error(EDEADLK, "thread '%s' would wait for its own end", self->name);
	if (thread->detached)
		return base_error(EINVAL, "thread '%s' is detached", thread->name);
	if (thread->joiner != NULL)
		return base_error(EINVAL, "thread '%s' is being joined by thread '%s'",
				  thread->name, thread->joiner->name);
	return 0;
}

/** Waits for the end of @thread, whose bucket is locked on the call and not on return. */
static inline int await_end(struct uthread *self, struct uthread *thread, uint64_t deadline_ns)
{
	const bool solo = self->worker->solo;
	int result = 0;

	thread->joiner = self;
	if (atomic_load_explicit(&thread->life, memory_order_relaxed) == UTHREAD_LIFE_ENDED) {
		uthread_unlock_object(solo, thread);
		return 0;
	}
	result = uthread_wait_for(self, thread, NULL, UTHREAD_WHY_JOIN, deadline_ns);
	if (result != 0) {
		uthread_lock_object(solo, thread);
		if (thread->joiner == self)
			thread->joiner = NULL;
		uthread_unlock_object(solo, thread);
	}
	return result;
}

static inline int join_until(uthread_t id, void **result, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	struct uthread *thread;
	int error;

	if (self == NULL)
		return uthread_no_thread();
	thread = find_and_lock(self->worker->solo, id);
	if (thread == NULL)
		return no_such_thread(id);
	error = check_joinable(self, thread);
	if (error != 0) {
		uthread_unlock_object(self->worker->solo, thread);
		return error;
	}
	error = await_end(self, thread, deadline_ns);
	if (error != 0)
		return uthread_cancel_point(self, error);
	reap(self, thread, result);
	return 0;
}

int uthread_join_until(uthread_t id, void **result, uint64_t deadline_ns)
{
	return join_until(id, result, deadline_ns);
}

int uthread_join(uthread_t id, void **result)
{
	return join_until(id, result, UTHREAD_NEVER);
}

int uthread_detach(uthread_t id)
{
	struct uthread *const self = uthread_current();
	struct uthread *thread;
	bool ended;

	if (self == NULL)
		return uthread_no_thread();
	thread = find_and_lock(self->worker->solo, id);
	if (thread == NULL)
		return no_such_thread(id);
	if (thread->detached || thread->joiner != NULL) {
		uthread_unlock_object(self->worker->solo, thread);
		return base_error(EINVAL, "thread '%s' is detached or being joined already",
				  thread->name);
	}
	ended = atomic_load_explicit(&thread->life, memory_order_relaxed) == UTHREAD_LIFE_ENDED;
	if (ended)
		thread->joiner = self;
	else
		thread->detached = true;
	uthread_unlock_object(self->worker->solo, thread);
	if (ended)
		reap(self, thread, NULL);
	return 0;
}

/* ---- sleeping ------------------------------------------------------------------------------ */

int uthread_sleep_until(uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	int result;

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, self);
	result = uthread_wait_for(self, self, NULL, UTHREAD_WHY_SLEEP, deadline_ns);
	return result == -ETIMEDOUT ? 0 : uthread_cancel_point(self, result);
}

int uthread_sleep_ms(uint64_t timeout_ms)
{
	return uthread_sleep_until(base_deadline_ns(timeout_ms));
}

uint64_t uthread_deadline(uint64_t timeout_ms)
{
	return base_deadline_ns(timeout_ms);
}

const char *uthread_error(void)
{
	return base_error_message();
}

/* ---- cancelling ---------------------------------------------------------------------------- */

bool uthread_cancel_thread(bool solo, struct uthread *thread)
{
	bool parked = false;

	atomic_store(&thread->cancel_wanted, true);
	return uthread_claim(solo, thread, UTHREAD_WAIT_CANCELLED, &parked) && parked;
}

int uthread_cancel(uthread_t id)
{
	struct uthread_worker *const worker = uthread_here;
	struct uthread *thread;
	bool parked;

	if (worker == NULL || worker->current == NULL)
		return uthread_no_thread();
	thread = find_and_lock(worker->solo, id);
	if (thread == NULL)
		return no_such_thread(id);
	parked = uthread_cancel_thread(worker->solo, thread);
	uthread_unlock_object(worker->solo, thread);
	uthread_wake(worker, thread, parked);
	return 0;
}

/* ---- what is known of a thread ------------------------------------------------------------- */

static int with_thread(uthread_t id, int (*act)(struct uthread *thread, void *what), void *what)
{
	struct uthread *const self = uthread_current();
	struct uthread *thread;
	int result;

	if (self == NULL)
		return uthread_no_thread();
	thread = find_and_lock(self->worker->solo, id);
	if (thread == NULL)
		return no_such_thread(id);
	result = act(thread, what);
	uthread_unlock_object(self->worker->solo, thread);
	return result;
}

static int set_name(struct uthread *thread, void *name)
{
	memcpy(thread->name, name, sizeof(thread->name));
	return 0;
}

int uthread_setname(uthread_t id, const char *name)
{
	uthread_attr_t attr;
	int error;

	uthread_attr_init(&attr);
	error = uthread_attr_setname(&attr, name);
	return error != 0 ? error : with_thread(id, set_name, attr.name);
}

struct name_buffer {
	char *name;
	size_t bytes;
};

static int get_name(struct uthread *thread, void *what)
{
	const struct name_buffer *const buffer = what;

	if (strlen(thread->name) >= buffer->bytes)
		return base_error(ERANGE, "%zu bytes are too few for the name '%s'", buffer->bytes,
				  thread->name);
	strcpy(buffer->name, thread->name);
	return 0;
}

int uthread_getname(uthread_t id, char *name, size_t name_bytes)
{
	struct name_buffer buffer = {name, name_bytes};

	return with_thread(id, get_name, &buffer);
}

static int set_priority(struct uthread *thread, void *what)
{
	thread->node.priority = *(uint8_t *)what;
	return 0;
}

int uthread_setpriority(uthread_t id, int priority)
{
	uthread_attr_t attr;
	int error;

	uthread_attr_init(&attr);
	error = uthread_attr_setpriority(&attr, priority);
	return error != 0 ? error : with_thread(id, set_priority, &attr.priority);
}

static int get_priority(struct uthread *thread, void *what)
{
	*(int *)what = thread->node.priority;
	return 0;
}

int uthread_getpriority(uthread_t id, int *priority)
{
	return with_thread(id, get_priority, priority);
}

static int set_deadline(struct uthread *thread, void *what)
{
	thread->node.deadline_ns = *(uint64_t *)what;
	return 0;
}

int uthread_setdeadline(uthread_t id, uint64_t deadline_ns)
{
	return with_thread(id, set_deadline, &deadline_ns);
}
