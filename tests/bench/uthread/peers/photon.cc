// SPDX-License-Identifier: MIT
//
// Photon, a library of C++: its threads on one vCPU, with its pool of stacks, and reads by its io_uring.

#include <photon/photon.h>
#include <photon/common/alog.h>
#include <photon/io/iouring-wrapper.h>
#include <photon/thread/thread.h>

#include <fcntl.h>
#include <unistd.h>

#include "peer.h"

namespace
{

constexpr uint64_t stack_bytes = 64 << 10;
constexpr unsigned readers = 64;
constexpr size_t block_bytes = 4096;
constexpr unsigned blocks = 4096;

unsigned long times;
photon::mutex mutex;
photon::condition_variable conds[2];
unsigned turn;

photon::join_handle *start(photon::thread_entry function, void *argument)
{
	return photon::thread_enable_join(photon::thread_create(function, argument, stack_bytes));
}

void *yielder(void *unused)
{
	for (unsigned long i = 0; i < times; i++)
		photon::thread_yield();
	return unused;
}

double yield(unsigned long count)
{
	const double started_ns = peer_now_ns();

	times = count;
	photon::join_handle *const thread = start(yielder, nullptr);
	yielder(nullptr);
	photon::thread_join(thread);
	return peer_each(started_ns, count * 2);
}

void *nothing(void *unused)
{
	return unused;
}

double create(unsigned long count)
{
	const double started_ns = peer_now_ns();

	for (unsigned long i = 0; i < count; i++)
		photon::thread_join(start(nothing, nullptr));
	return peer_each(started_ns, count);
}

void *player(void *argument)
{
	const unsigned own = argument != nullptr;

	mutex.lock();
	for (unsigned long i = 0; i < times; i++) {
		while (turn != own)
			conds[own].wait(mutex);
		turn = !own;
		conds[!own].notify_one();
	}
	mutex.unlock();
	return nullptr;
}

double cond(unsigned long count)
{
	const double started_ns = peer_now_ns();

	times = count;
	photon::join_handle *const threads[] = {start(player, nullptr), start(player, conds)};
	for (photon::join_handle *const thread : threads)
		photon::thread_join(thread);
	return peer_each(started_ns, count * 2);
}

void *rounder(void *unused)
{
	for (unsigned long i = 0; i < times; i++) {
		mutex.lock();
		photon::thread_yield();
		mutex.unlock();
	}
	return unused;
}

double round_of_eight(unsigned long count)
{
	const double started_ns = peer_now_ns();
	photon::join_handle *threads[8];

	times = count;
	for (photon::join_handle *&thread : threads)
		thread = start(rounder, nullptr);
	for (photon::join_handle *const thread : threads)
		photon::thread_join(thread);
	return peer_each(started_ns, count * 8);
}

char buffers[readers][block_bytes] __attribute__((aligned(4096)));
int file;

void *reader(void *argument)
{
	const size_t index = reinterpret_cast<size_t>(argument);
	unsigned seed = static_cast<unsigned>(index);

	while (times > 0) {
		times--;
		seed = seed * 1664525U + 1013904223U;
		if (photon::iouring_pread(file, buffers[index], block_bytes,
					  static_cast<off_t>((seed >> 8) % blocks * block_bytes)) !=
		    static_cast<ssize_t>(block_bytes))
			abort();
	}
	return nullptr;
}

double reads(unsigned long count)
{
	const double started_ns = peer_now_ns();
	photon::join_handle *threads[readers];

	times = count;
	for (size_t i = 0; i < readers; i++)
		threads[i] = start(reader, reinterpret_cast<void *>(i));
	for (photon::join_handle *const thread : threads)
		photon::thread_join(thread);
	return peer_each(started_ns, count);
}

} // namespace

int main(int count, char **words)
{
	static const peer_case cases[] = {
		{"yield", yield},		{"create-join", create}, {"condition", cond},
		{"mutex-of-8", round_of_eight}, {"reads", reads},	 {nullptr, nullptr}};
	photon::PhotonOptions options;

	log_output = log_output_null;
	options.use_pooled_stack_allocator = 1;
	if (count > 3)
		file = atoi(words[3]);
	if (photon::init(photon::INIT_EVENT_IOURING, photon::INIT_IO_NONE, options) != 0)
		return 1;
	const int status = peer_main(count, words, cases);
	fflush(stdout);
	photon::fini();
	return status;
}
