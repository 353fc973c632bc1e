/* SPDX-License-Identifier: MIT */
/*
 * Drivers whose requests run in userland threads: the third style. Each request is served by a
 * function in a thread of its own, on the loop of its queue, and code reads as if it blocked: it
 * locks a mutex of uthread.h, or calls uthread_read() of uthread/asys.h, and other requests are
 * served meanwhile. There is no thread of the kernel but the loop's.
 *
 *	static int handle(void *instance, struct bdus_request *request)
 *	{
 *		struct remote *remote = instance;
 *		int64_t result;
 *
 *		uthread_mutex_lock(&remote->mutex);
 *		result = uthread_send(remote->socket, …);
 *		uthread_mutex_unlock(&remote->mutex);
 *		return result < 0 ? (int)result : 0;
 *	}
 *
 * A driver for `bdus run` has such a function as `thread` of struct bdus_driver. A program with a
 * loop of its own gives bdus_thread_submit() to its struct bdus_async_driver.
 *
 * The threads are those of one scheduler for each loop, with one worker, which is the loop's
 * thread: `__thread` variables are the same throughout, two threads never run at the same time, and
 * a switch happens only in calls that wait and in uthread_yield(). Objects of uthread.h belong to
 * one loop: a driver whose device has several queues, on several loops, shares none between
 * requests of different queues.
 *
 * Any call of uthread.h and uthread/asys.h may be made. Those of uthread/asys.h go through the ring
 * of the loop, in the system call that also brings the requests. A call of the C library that
 * blocks keeps the whole loop waiting.
 *
 * When a loop is destroyed, its calls are cancelled (they return -ECANCELED), and so are its
 * threads, see uthread_cancel(); threads that wait on after that are abandoned. A queue that ends
 * in good order has no request left by then, so that this is about threads that a driver made
 * itself.
 */
#ifndef BDUS_THREAD_H
#define BDUS_THREAD_H

#include <bdus/async.h>
#include <uthread.h>
#include <uthread/asys.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What bdus_thread_submit() gets as its instance. It must last as long as the device. */
struct bdus_thread_driver {
	/** sizeof(struct bdus_thread_driver). */
	size_t size;
	/**
	 * Serves one request and returns its result, 0 or a negative errno. In a thread, which is
	 * detached and has the request to itself; must not complete it. Required.
	 */
	int (*handle)(void *instance, struct bdus_request *request);
	void *instance;
	/** Of the threads' stacks; 0 for 64 KiB. See uthread_attr_setstacksize(). */
	size_t stack_bytes;
};

/**
 * For `submit` of struct bdus_async_driver, with a struct bdus_thread_driver as the device's
 * `instance`: starts a thread that serves @request. It runs at once, until it waits. A request for
 * which there is no thread to be had is completed with -ENOMEM.
 */
void bdus_thread_submit(void *driver, struct bdus_request *request);

/**
 * Creates a thread on @loop, for what a driver does beside its requests: uthread_create(), but for
 * callers outside of userland threads, too. On the loop's thread. It begins to run in the loop's
 * next turn. Errors: as uthread_create(); -ENOMEM; -ESHUTDOWN while the loop is being destroyed.
 */
int bdus_thread_create(struct bdus_loop *loop, uthread_t *thread, const uthread_attr_t *attr,
		       void *(*start)(void *), void *argument);

#ifdef __cplusplus
}
#endif

#endif
