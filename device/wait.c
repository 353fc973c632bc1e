/* SPDX-License-Identifier: MIT */
/*
 * Waiting with a deadline.
 */
#include "device/wait.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>

#define WORD_INTERVAL_NS UINT64_C(1000000000)

void bdus_wait_init(struct bdus_wait *wait, const char *waiting_for, uint64_t deadline_ns,
		    bdus_progress_fn *progress, void *opaque)
{
	const uint64_t now = base_now_ns();

	*wait = (struct bdus_wait){
		.started_ns = now,
		.deadline_ns = deadline_ns,
		.next_word_ns = now + WORD_INTERVAL_NS,
		.waiting_for = waiting_for,
		.progress = progress,
		.opaque = opaque,
	};
}

int bdus_wait_step(struct bdus_wait *wait, int most_ms)
{
	const uint64_t now = base_now_ns();
	const uint64_t waited_ms = (now - wait->started_ns) / 1000000U;

	if (now >= wait->deadline_ns)
		return base_error(ETIMEDOUT,
				  "gave up after %" PRIu64 ".%" PRIu64 " s waiting for %s",
				  waited_ms / 1000, waited_ms % 1000 / 100, wait->waiting_for);
	if (now >= wait->next_word_ns) {
		wait->next_word_ns = now + WORD_INTERVAL_NS;
		if (wait->progress != NULL)
			wait->progress(waited_ms, wait->waiting_for, wait->opaque);
	}
	return (int)base_min((uint64_t)most_ms,
			     base_min((uint64_t)base_remaining_ms(wait->deadline_ns),
				      (uint64_t)base_remaining_ms(wait->next_word_ns)) +
				     1);
}

int bdus_wait_sleep(struct bdus_wait *wait, int most_ms)
{
	const int pause_ms = bdus_wait_step(wait, most_ms);
	const struct timespec pause = {
		.tv_sec = pause_ms / 1000,
		.tv_nsec = pause_ms % 1000 * 1000000L,
	};

	if (pause_ms < 0)
		return pause_ms;
	nanosleep(&pause, NULL);
	return 0;
}
