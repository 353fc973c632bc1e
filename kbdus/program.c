// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that answer requests of a device before its server sees them.
 *
 *	queue_rq ─▶ ask ─▶ pass: to the server
 *	                   done, fail: ends at once
 *	                   anything else is carried out part by part
 *
 *	carry_out ─▶ redirect: clones go to the backing device     ─┐ the program is asked again for
 *	   ▲         done: zeros                                    ─┴▶ what an answer does not
 *cover │         a delay: goes on when it is over │         pass: the last clone that is back gives
 *the part to the server │                     │ └─ ask ◀─ queue_rq ◀──┘ that part is done, and the
 *rest of the request is requeued
 *
 * The last part that is back ends the request, with the first error there was; then a program that
 * wants to know is told.
 *
 * A program is verified here whatever was done outside. It is asked within queue_rq and by work
 *that goes on after a delay, both of which may sleep, and told wherever requests end, which may be
 * anywhere. It is put in its place, and taken away, while the queue is quiesced, so that nobody is
 * about to ask it; a request that is being carried out has a reference, and who tells it reads
 * under RCU.
 */
#include "kbdus_internal.h"

#include "kbdus_program.h"

#include <linux/bio.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/kdev_t.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "opvm.h"
#include "opvm/block_fields.h"

#define MOST_STACK_BYTES 512
#define MOST_ERRNO       4095
#define LONGEST_DELAY_NS (3600 * (u64)NSEC_PER_SEC)
/* Longer records of rings cannot be read. */
#define MOST_RECORD_BYTES 65536
#define LOAD_FLAGS                                                                       \
	(KBDUS_PROGRAM_ABI_LOAD_FLAG_INTERPRET | KBDUS_PROGRAM_ABI_LOAD_FLAG_KEEP_MAPS | \
	 KBDUS_PROGRAM_ABI_LOAD_FLAG_COMPLETION)

enum counter {
	COUNT_CALLS,
	COUNT_PASSED,
	COUNT_DONE,
	COUNT_REDIRECTED,
	COUNT_FAILED,
	COUNT_DELAYED,
	COUNT_EXHAUSTED,
	COUNT_REFUSED,
	COUNTERS
};

struct counters {
	u64 counts[COUNTERS];
};

struct kbdus_program {
	struct kref references;
	struct work_struct free_work;
	struct opvm_program *program;
	/* Called when a request is back; NULL for none. */
	struct opvm_program *completion;
	struct opvm_map *maps[KBDUS_PROGRAM_ABI_MAPS];
	u32 maps_count;
	u32 instructions;
	bool compiled;
	char name[32];
	/* How many were there before in its device. */
	u64 replaced;
	/* Taken to read a ring. */
	struct mutex reading;
	u64 fuel;
	u64 exhausted;
	/* NULL for none; holds the block device open. */
	struct file *backing_file;
	struct block_device *backing;
	struct bio_set clones;
	bool has_clones;
	struct counters __percpu *counters;
};

/* What becomes of a request when all of its clones are back without an error. */
enum then {
	THEN_END,
	/* The server gets what the answer covers. */
	THEN_SERVE,
};

/* Of a request that is being carried out, or told of; lies behind the request. */
struct kept {
	/* With a reference, while it is carried out. */
	struct kbdus_program *program;
	/* Clones that are on their way, and one while they are being made. */
	atomic_t pending;
	int result;
	enum then then;
	/* The answer for what @block describes, which begins so far after the request. */
	u64 action;
	u64 skip_bytes;
	struct opvm_block block;
	/* The delay before it is carried out; begun, and cut short, under queue->lock. */
	struct delayed_work delay;
	bool has_delay;
	/* Of a request that was requeued, how often the program was asked before. */
	u32 parts;
	/* What the program that is told of the end is told. */
	u64 started_ns;
	u64 offset_bytes;
	u64 length_bytes;
};

_Static_assert(sizeof(struct kept) <= KBDUS_PROGRAM_REQUEST_BYTES,
	       "what is kept of a request has room behind it");

static const struct opvm_field fields[] = {OPVM_BLOCK_FIELDS(PAGE_SIZE)};

static const struct opvm_context context_type = {
	.name = "opvm_block",
	.size_bytes = sizeof(struct opvm_block),
	.fields_count = ARRAY_SIZE(fields),
	.fields = fields,
};

static const struct opvm_environment environment = {
	.size = sizeof(environment),
	.context = &context_type,
};

/* Frees programs, which the end of a request may leave without a user; goes on after delays. */
static struct workqueue_struct *program_work;

int kbdus_program_init(void)
{
	program_work = alloc_workqueue("kbdus-program", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return program_work ? 0 : -ENOMEM;
}

void kbdus_program_exit(void)
{
	destroy_workqueue(program_work);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void free_program(struct work_struct *work)
{
	struct kbdus_program *program = container_of(work, struct kbdus_program, free_work);
	u32 i;

	/* Somebody may be telling it. */
	synchronize_rcu();
	opvm_program_destroy(program->completion);
	opvm_program_destroy(program->program);
	for (i = 0; i < program->maps_count; i++)
		opvm_map_destroy(program->maps[i]);
	if (program->has_clones)
		bioset_exit(&program->clones);
	if (program->backing_file)
		fput(program->backing_file);
	free_percpu(program->counters);
	kfree(program);
}

static void release_program(struct kref *references)
{
	struct kbdus_program *program = container_of(references, struct kbdus_program, references);

	queue_work(program_work, &program->free_work);
}

void kbdus_program_put(struct kbdus_program *program)
{
	if (program)
		kref_put(&program->references, release_program);
}

static void count(struct kbdus_program *program, enum counter counter)
{
	this_cpu_inc(program->counters->counts[counter]);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool is_sensible(const struct kbdus_program *program, u64 action,
			const struct opvm_block *block)
{
	return action <= OPVM_BLOCK_FAIL && block->delay_ns <= LONGEST_DELAY_NS &&
	       block->backend <= 1 && block->covers_bytes <= block->length_bytes &&
	       block->covers_bytes % block->block_bytes == 0 &&
	       (block->covers_bytes != 0 || block->length_bytes == 0) &&
	       (action != OPVM_BLOCK_FAIL || (block->status != 0 && block->status <= MOST_ERRNO)) &&
	       (action != OPVM_BLOCK_REDIRECT || program->backing);
}

static void describe(const struct kbdus_program *program, const struct kbdus_device *device,
		     const struct request *request, struct opvm_block *block)
{
	*block = (struct opvm_block){
		.offset_bytes = (u64)blk_rq_pos(request) << SECTOR_SHIFT,
		.length_bytes = blk_rq_bytes(request),
		.time_ns = ktime_get_ns(),
		.device_bytes = kbdus_abi_device_size_bytes(&device->created),
		.block_bytes = kbdus_abi_device_logical_block_size(&device->created),
		.backends = program->backing ? 1 : 0,
	};
	if (!block->length_bytes)
		block->offset_bytes = 0;
}

/* Has the program answer for what @block describes; a negative errno for what cannot be done. */
static int ask(struct kbdus_program *program, struct opvm_block *block, u64 *action)
{
	int ran;

	block->covers_bytes = block->length_bytes;
	block->target_bytes = block->offset_bytes;
	block->status = EIO;
	block->delay_ns = 0;
	block->backend = 0;
	count(program, COUNT_CALLS);
	ran = opvm_run(program->program, block, program->fuel, action);
	if (ran == -ETIME) {
		count(program, COUNT_EXHAUSTED);
		*action = program->exhausted;
		block->covers_bytes = block->length_bytes;
		block->delay_ns = 0;
		block->status = EIO;
		block->backend = 0;
		ran = 0;
	}
	if (!ran && is_sensible(program, *action, block)) {
		count(program, COUNT_PASSED + *action);
		return 0;
	}
	count(program, COUNT_REFUSED);
	return -EIO;
}

/* ---- redirecting ----------------------------------------------------------------------------- */

static struct kept *kept_of(struct request *request)
{
	return blk_mq_rq_to_pdu(request) + KBDUS_PROGRAM_REQUEST_OFFSET;
}

/* Has the server serve what the answer covers; what lies before is done. */
static bool serve_part(struct request *request)
{
	struct kept *kept = kept_of(request);
	const struct opvm_block *block = &kept->block;

	if (kept->skip_bytes)
		blk_update_request(request, BLK_STS_OK, kept->skip_bytes);
	if (block->covers_bytes != block->length_bytes) {
		kbdus_request_own(request)->part_bytes = block->covers_bytes;
		kept->parts = block->part + 1;
	}
	return kbdus_queue_add(request->mq_hctx->driver_data, request, true);
}

static void end_part(struct request *request, int result)
{
	struct kept *kept = kept_of(request);

	if (result)
		WRITE_ONCE(kept->result, result);
	if (!atomic_dec_and_test(&kept->pending))
		return;
	/* First: without the request, device and module may go. */
	kbdus_program_put(kept->program);
	result = READ_ONCE(kept->result);
	if (!result && kept->then == THEN_SERVE) {
		if (serve_part(request))
			return;
		result = -EIO;
	}
	kbdus_disk_end(request, result);
}

static void clone_ended(struct bio *clone)
{
	struct request *request = clone->bi_private;
	const int result = blk_status_to_errno(clone->bi_status);

	bio_put(clone);
	end_part(request, result);
}

static void submit_clone(struct request *request, struct bio *clone)
{
	clone->bi_private = request;
	clone->bi_end_io = clone_ended;
	atomic_inc(&kept_of(request)->pending);
	submit_bio(clone);
}

/* Sends @length_bytes of the request, from @skip_bytes on, to @target_bytes. */
static int send_range(struct request *request, u64 skip_bytes, u64 length_bytes, u64 target_bytes)
{
	struct kbdus_program *program = kept_of(request)->program;
	const u64 end_bytes = skip_bytes + length_bytes;
	u64 at = 0;
	struct bio *bio;

	if (target_bytes > bdev_nr_bytes(program->backing) ||
	    length_bytes > bdev_nr_bytes(program->backing) - target_bytes)
		return -EIO;
	if (op_is_write(req_op(request)) && !(program->backing_file->f_mode & FMODE_WRITE))
		return -EIO;
	__rq_for_each_bio (bio, request) {
		const u64 first = max(at, skip_bytes);
		const u64 end = min(at + bio->bi_iter.bi_size, end_bytes);
		struct bio *clone;

		if (first < end) {
			clone = bio_alloc_clone(program->backing, bio, GFP_NOIO, &program->clones);
			bio_trim(clone, (first - at) >> SECTOR_SHIFT,
				 (end - first) >> SECTOR_SHIFT);
			clone->bi_iter.bi_sector =
				(target_bytes + first - skip_bytes) >> SECTOR_SHIFT;
			submit_clone(request, clone);
		}
		at += bio->bi_iter.bi_size;
	}
	return 0;
}

static void fill_with_zeros(struct request *request, u64 skip_bytes, u64 length_bytes)
{
	const u64 end_bytes = skip_bytes + length_bytes;
	struct req_iterator iter;
	struct bio_vec vector;
	u64 at = 0;

	rq_for_each_segment (vector, request, iter) {
		const u64 first = max(at, skip_bytes), end = min(at + vector.bv_len, end_bytes);
		struct bio_vec part = vector;

		if (first < end) {
			part.bv_offset += first - at;
			part.bv_len = end - first;
			memzero_bvec(&part);
		}
		at += vector.bv_len;
	}
}

static void send_flush(struct request *request)
{
	struct kbdus_program *program = kept_of(request)->program;
	struct bio *bio = bio_alloc_bioset(program->backing, 0, REQ_OP_WRITE | REQ_PREFLUSH,
					   GFP_NOIO, &program->clones);

	submit_clone(request, bio);
}

/* ---- carrying out ---------------------------------------------------------------------------- */

/* What was redirected before has to be flushed where it is. */
static int carry_out_flush(struct request *request, struct kept *kept)
{
	if (kept->action == OPVM_BLOCK_FAIL)
		return -(int)kept->block.status;
	if (kept->action == OPVM_BLOCK_PASS)
		kept->then = THEN_SERVE;
	if (kept->program->backing)
		send_flush(request);
	return 0;
}

static int carry_out_part(struct request *request, struct kept *kept)
{
	const struct opvm_block *block = &kept->block;

	if (req_op(request) == REQ_OP_FLUSH)
		return carry_out_flush(request, kept);
	switch (kept->action) {
	case OPVM_BLOCK_REDIRECT:
		return send_range(request, kept->skip_bytes, block->covers_bytes,
				  block->target_bytes);
	case OPVM_BLOCK_DONE:
		if (req_op(request) == REQ_OP_READ)
			fill_with_zeros(request, kept->skip_bytes, block->covers_bytes);
		return 0;
	case OPVM_BLOCK_FAIL:
		return -(int)block->status;
	default:
		kept->then = THEN_SERVE;
		return 0;
	}
}

/* Asks for what the last answer did not cover. 1 if there is such, 0 if it is over. */
static int ask_for_rest(struct kept *kept)
{
	struct opvm_block *block = &kept->block;
	const u64 covered_bytes = block->covers_bytes;

	if (kept->then == THEN_SERVE || covered_bytes == block->length_bytes)
		return 0;
	kept->skip_bytes += covered_bytes;
	block->offset_bytes += covered_bytes;
	block->length_bytes -= covered_bytes;
	block->part++;
	return ask(kept->program, block, &kept->action) ?: 1;
}

static void delay_over(struct work_struct *work);

static void hold(struct request *request)
{
	struct kbdus_queue *queue = request->mq_hctx->driver_data;
	struct kept *kept = kept_of(request);
	/* At most an hour, which as microseconds has 32 bits. Never too early. */
	const unsigned int delay_us = DIV_ROUND_UP_ULL(kept->block.delay_ns, NSEC_PER_USEC);
	unsigned long flags;

	kept->block.delay_ns = 0;
	count(kept->program, COUNT_DELAYED);
	spin_lock_irqsave(&queue->lock, flags);
	if (!kept->has_delay)
		INIT_DELAYED_WORK(&kept->delay, delay_over);
	kept->has_delay = true;
	queue_delayed_work(program_work, &kept->delay,
			   queue->dead ? 0 : usecs_to_jiffies(delay_us) + 1);
	spin_unlock_irqrestore(&queue->lock, flags);
}

static void carry_out(struct request *request)
{
	struct kept *kept = kept_of(request);
	int result;

	do {
		if (kept->block.delay_ns) {
			hold(request);
			return;
		}
		result = carry_out_part(request, kept);
		if (!result)
			result = ask_for_rest(kept);
	} while (result > 0);
	end_part(request, result);
}

static void delay_over(struct work_struct *work)
{
	struct kept *kept = container_of(work, struct kept, delay.work);

	carry_out(blk_mq_rq_from_pdu((void *)kept - KBDUS_PROGRAM_REQUEST_OFFSET));
}

static bool end_delay(struct request *request, void *unused)
{
	struct kbdus_queue *queue = request->mq_hctx->driver_data;
	struct kept *kept = kept_of(request);
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (kept->has_delay && cancel_delayed_work(&kept->delay))
		queue_work(program_work, &kept->delay.work);
	spin_unlock_irqrestore(&queue->lock, flags);
	return true;
}

void kbdus_program_end_delays(struct kbdus_device *device)
{
	if (device->has_tags)
		blk_mq_tagset_busy_iter(&device->tags, end_delay, NULL);
}

/* ---- telling programs ------------------------------------------------------------------------ */

static void watch(struct request *request, const struct opvm_block *block)
{
	struct kept *kept = kept_of(request);

	if (kbdus_request_own(request)->is_watched)
		return;
	kbdus_request_own(request)->is_watched = true;
	kept->started_ns = block->time_ns;
	kept->offset_bytes = block->offset_bytes;
	kept->length_bytes = block->length_bytes;
}

static void run_completion(struct kbdus_program *program, const struct kbdus_device *device,
			   struct request *request, int result)
{
	const struct kept *kept = kept_of(request);
	struct opvm_block block;
	u64 unused;
	u16 flags;

	describe(program, device, request, &block);
	block.operation = kbdus_disk_operation(device, request, &flags);
	block.flags = flags;
	block.offset_bytes = kept->offset_bytes;
	block.length_bytes = kept->length_bytes;
	block.result = result < 0 && result >= -MOST_ERRNO ? -result : result ? EIO : 0;
	block.elapsed_ns = block.time_ns - kept->started_ns;
	count(program, COUNT_CALLS);
	if (opvm_run(program->completion, &block, program->fuel, &unused) == -ETIME)
		count(program, COUNT_EXHAUSTED);
}

/* The program of now, which has the maps of now. */
static void tell_program(struct request *request, int result)
{
	const struct kbdus_queue *queue = request->mq_hctx->driver_data;
	struct kbdus_program *program;

	rcu_read_lock();
	program = READ_ONCE(queue->device->program);
	if (program && program->completion)
		run_completion(program, queue->device, request, result);
	rcu_read_unlock();
}

/*
 * The server did its part. The rest comes before other requests, and is not merged with any: the
 * flag sees to that, and tells that the program was asked before.
 */
static void requeue_rest(struct request *request, u32 part_bytes)
{
	blk_update_request(request, BLK_STS_OK, part_bytes);
	request->rq_flags |= RQF_DONTPREP;
	blk_mq_requeue_request(request, true);
}

bool kbdus_program_end(struct request *request, int result)
{
	struct kbdus_request *own = kbdus_request_own(request);
	const u32 part_bytes = own->part_bytes;

	own->part_bytes = 0;
	if (part_bytes && !result) {
		requeue_rest(request, part_bytes);
		return true;
	}
	if (own->is_watched) {
		own->is_watched = false;
		tell_program(request, result);
	}
	return false;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void begin(struct kbdus_program *program, struct request *request,
		  const struct opvm_block *block, u64 action)
{
	struct kept *kept = kept_of(request);

	kref_get(&program->references);
	kept->program = program;
	kept->result = 0;
	kept->then = THEN_END;
	kept->action = action;
	kept->skip_bytes = 0;
	kept->block = *block;
	atomic_set(&kept->pending, 1);
	carry_out(request);
}

/* Whether an answer takes more than to end the request or to let it pass. */
static bool takes_more(const struct kbdus_program *program, const struct opvm_block *block,
		       u64 action)
{
	return block->covers_bytes != block->length_bytes || block->delay_ns ||
	       action == OPVM_BLOCK_REDIRECT ||
	       (block->operation == OPVM_BLOCK_FLUSH && program->backing &&
		action != OPVM_BLOCK_FAIL);
}

bool kbdus_program_serve(struct kbdus_queue *queue, struct request *request, int op, u16 flags)
{
	struct kbdus_program *program = READ_ONCE(queue->device->program);
	struct opvm_block block;
	u64 action;
	int result;

	describe(program, queue->device, request, &block);
	block.operation = op;
	block.flags = flags;
	if (request->rq_flags & RQF_DONTPREP)
		block.part = kept_of(request)->parts;
	if (program->completion)
		watch(request, &block);
	result = ask(program, &block, &action);
	if (result) {
		kbdus_disk_end(request, result);
		return true;
	}
	if (takes_more(program, &block, action)) {
		begin(program, request, &block, action);
		return true;
	}
	if (action == OPVM_BLOCK_PASS)
		return false;
	if (action == OPVM_BLOCK_DONE && op == KBDUS_ABI_OP_READ)
		fill_with_zeros(request, 0, block.length_bytes);
	kbdus_disk_end(request, action == OPVM_BLOCK_FAIL ? -(int)block.status : 0);
	return true;
}

/* ---- loading --------------------------------------------------------------------------------- */

static void *copy_array(u64 address, size_t count, size_t element_bytes)
{
	void *copy = kvmalloc_array(count ?: 1, element_bytes, GFP_KERNEL);

	if (!copy)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(copy, u64_to_user_ptr(address), count * element_bytes)) {
		kvfree(copy);
		return ERR_PTR(-EFAULT);
	}
	return copy;
}

static int set_contents(struct opvm_map *map, u64 address)
{
	const struct opvm_map_definition *definition = opvm_map_describe(map);
	const u32 first = 0;
	void *value;
	int error;

	if (!address || definition->kind != OPVM_MAP_ARRAY)
		return address ? -EINVAL : 0;
	value = copy_array(address, 1, definition->value_bytes);
	if (IS_ERR(value))
		return PTR_ERR(value);
	error = opvm_map_set(map, &first, value, OPVM_MAP_ANY);
	kvfree(value);
	return error;
}

static int create_maps(struct kbdus_program *program, const struct kbdus_program_abi_load *load,
		       struct opvm_log *log)
{
	const u32 count = kbdus_program_abi_load_maps_count(load);
	struct opvm_map_definition *definitions;
	u64 *contents;
	int error = 0;

	definitions = copy_array(kbdus_program_abi_load_maps(load), count, sizeof(definitions[0]));
	if (IS_ERR(definitions))
		return PTR_ERR(definitions);
	contents = copy_array(kbdus_program_abi_load_contents(load), count, sizeof(contents[0]));
	if (IS_ERR(contents)) {
		kvfree(definitions);
		return PTR_ERR(contents);
	}
	while (!error && program->maps_count < count) {
		struct opvm_map **map = &program->maps[program->maps_count];

		definitions[program->maps_count].name[sizeof(definitions[0].name) - 1] = 0;
		error = opvm_map_create(&definitions[program->maps_count], log, map);
		if (!error)
			error = set_contents(*map, contents[program->maps_count++]);
	}
	kvfree(contents);
	kvfree(definitions);
	return error;
}

/* One of the two programs that begin at places of the same instructions; *@compiled if it could be.
 */
static int verify_one(struct opvm_source *source, u32 entry, bool may_compile, struct opvm_log *log,
		      struct opvm_program **result, bool *compiled)
{
	struct opvm_program_info info;
	int error;

	source->entry = entry;
	error = opvm_program_create(&environment, source, log, result);
	if (error)
		return error;
	opvm_program_describe(*result, &info);
	if (info.stack_bytes > MOST_STACK_BYTES)
		return -E2BIG;
	/* Without machine code it runs as well. */
	*compiled = may_compile && !opvm_compile(*result, NULL);
	return 0;
}

static int verify_both(struct kbdus_program *program, const struct kbdus_program_abi_load *load,
		       struct opvm_source *source, struct opvm_log *log)
{
	const u32 flags = kbdus_program_abi_load_flags(load);
	const bool may_compile = !(flags & KBDUS_PROGRAM_ABI_LOAD_FLAG_INTERPRET);
	struct opvm_program_info info;
	bool unused;
	int error;

	error = verify_one(source, kbdus_program_abi_load_entry(load), may_compile, log,
			   &program->program, &program->compiled);
	if (error)
		return error;
	opvm_program_describe(program->program, &info);
	program->instructions = info.instructions;
	if (flags & KBDUS_PROGRAM_ABI_LOAD_FLAG_COMPLETION)
		error = verify_one(source, kbdus_program_abi_load_completion(load), may_compile,
				   log, &program->completion, &unused);
	return error;
}

static int verify(struct kbdus_program *program, const struct kbdus_program_abi_load *load,
		  struct opvm_log *log)
{
	struct opvm_source source = {
		.size = sizeof(source),
		.count = kbdus_program_abi_load_count(load),
		.maps = program->maps,
		.maps_count = program->maps_count,
		.max_steps = 200000,
	};
	struct opvm_instruction *code = copy_array(kbdus_program_abi_load_instructions(load),
						   source.count, sizeof(code[0]));
	int error;

	if (IS_ERR(code))
		return PTR_ERR(code);
	source.instructions = code;
	error = verify_both(program, load, &source, log);
	kvfree(code);
	return error;
}

static int open_backing(struct kbdus_program *program, const struct kbdus_device *device, int fd)
{
	struct inode *inode;
	int error;

	if (fd < 0)
		return 0;
	program->backing_file = fget(fd);
	if (!program->backing_file)
		return -EBADF;
	inode = program->backing_file->f_mapping->host;
	if (!S_ISBLK(inode->i_mode))
		return -ENOTBLK;
	program->backing = I_BDEV(inode);
	/* A circle of them would never end. */
	if (program->backing->bd_disk->fops == device->disk->fops)
		return -ELOOP;
	if (bdev_logical_block_size(program->backing) >
	    kbdus_abi_device_logical_block_size(&device->created))
		return -EINVAL;
	/* Nobody would flush it. */
	if (bdev_write_cache(program->backing) &&
	    !(kbdus_abi_device_ops(&device->created) & KBDUS_ABI_OPS_FLUSH))
		return -EOPNOTSUPP;
	error = bioset_init(&program->clones, BIO_POOL_SIZE, 0, BIOSET_NEED_RESCUER);
	program->has_clones = !error;
	return error;
}

static int fill_in(struct kbdus_program *program, const struct kbdus_program_abi_load *load,
		   struct opvm_log *log)
{
	int error;

	program->fuel = kbdus_program_abi_load_fuel(load);
	program->exhausted = kbdus_program_abi_load_exhausted(load);
	strscpy(program->name, load->name, sizeof(program->name));
	program->counters = alloc_percpu(struct counters);
	if (!program->counters)
		return -ENOMEM;
	error = create_maps(program, load, log);
	return error ?: verify(program, load, log);
}

static bool is_sound(const struct kbdus_program_abi_load *load)
{
	const u32 count = kbdus_program_abi_load_count(load);
	const u32 exhausted = kbdus_program_abi_load_exhausted(load);
	const u64 fuel = kbdus_program_abi_load_fuel(load);

	return count >= 1 && count <= KBDUS_PROGRAM_ABI_INSTRUCTIONS &&
	       kbdus_program_abi_load_entry(load) < count &&
	       kbdus_program_abi_load_completion(load) < count &&
	       kbdus_program_abi_load_maps_count(load) <= KBDUS_PROGRAM_ABI_MAPS &&
	       kbdus_program_abi_load_log_bytes(load) <= KBDUS_PROGRAM_ABI_LOG_BYTES && fuel >= 1 &&
	       fuel <= KBDUS_PROGRAM_ABI_FUEL &&
	       (exhausted == OPVM_BLOCK_PASS || exhausted == OPVM_BLOCK_FAIL) &&
	       !(kbdus_program_abi_load_flags(load) & ~LOAD_FLAGS) &&
	       strnlen(load->name, sizeof(load->name)) < sizeof(load->name);
}

static int make_program(const struct kbdus_program_abi_load *load, struct kbdus_program **result)
{
	struct opvm_log log = {.size_bytes = kbdus_program_abi_load_log_bytes(load)};
	struct kbdus_program *program;
	int error;

	if (!is_sound(load))
		return -EINVAL;
	program = kzalloc(sizeof(*program), GFP_KERNEL);
	log.text = kvzalloc(log.size_bytes ?: 1, GFP_KERNEL);
	if (!program || !log.text) {
		kfree(program);
		kvfree(log.text);
		return -ENOMEM;
	}
	kref_init(&program->references);
	mutex_init(&program->reading);
	INIT_WORK(&program->free_work, free_program);
	error = fill_in(program, load, &log);
	if (error && log.size_bytes &&
	    copy_to_user(u64_to_user_ptr(kbdus_program_abi_load_log(load)), log.text,
			 log.size_bytes))
		error = -EFAULT;
	kvfree(log.text);
	if (error)
		kbdus_program_put(program);
	else
		*result = program;
	return error;
}

/* Values of maps of the program in place, for those of the same name and form in the next. */
static void keep_maps(const struct kbdus_program *from, struct kbdus_program *to)
{
	u32 i, j;

	for (i = 0; i < to->maps_count; i++)
		for (j = 0; j < from->maps_count; j++)
			if (!strcmp(opvm_map_describe(from->maps[j])->name,
				    opvm_map_describe(to->maps[i])->name))
				opvm_map_copy(from->maps[j], to->maps[i]);
}

/* With device->lock: opens what @program, if there is one, needs of its device. */
static int prepare(struct kbdus_device *device, struct kbdus_program *program,
		   const struct kbdus_program_abi_load *load)
{
	if (device->state != KBDUS_ABI_STATE_LIVE)
		return -ENODEV;
	if (!program)
		return 0;
	/* What it would answer is not known to who keeps the zones. */
	if (kbdus_device_is_zoned(device))
		return -EOPNOTSUPP;
	if (device->program) {
		program->replaced = device->program->replaced + 1;
		if (kbdus_program_abi_load_flags(load) & KBDUS_PROGRAM_ABI_LOAD_FLAG_KEEP_MAPS)
			keep_maps(device->program, program);
	}
	return open_backing(program, device, kbdus_program_abi_load_backing(load));
}

/* Puts @program, or none, in the place of the device's; the caller's reference goes with it. */
static int exchange(struct kbdus_device *device, struct kbdus_program *program,
		    const struct kbdus_program_abi_load *load)
{
	struct kbdus_program *old = program;
	int error;

	mutex_lock(&device->lock);
	error = prepare(device, program, load);
	if (!error) {
		blk_mq_quiesce_queue(device->disk->queue);
		old = device->program;
		WRITE_ONCE(device->program, program);
		blk_mq_unquiesce_queue(device->disk->queue);
	}
	mutex_unlock(&device->lock);
	kbdus_program_put(old);
	return error;
}

static int load(struct kbdus_device *device, const struct kbdus_program_abi_load *load)
{
	struct kbdus_program *program;
	const int error = make_program(load, &program);

	return error ?: exchange(device, program, load);
}

/* ---- telling --------------------------------------------------------------------------------- */

/* The device's program with a reference; NULL if it has none. */
static struct kbdus_program *get_program(struct kbdus_device *device)
{
	struct kbdus_program *program;

	mutex_lock(&device->lock);
	program = device->program;
	if (program)
		kref_get(&program->references);
	mutex_unlock(&device->lock);
	return program;
}

static u64 counted(const struct kbdus_program *program, enum counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) sum += per_cpu_ptr(program->counters, cpu)->counts[counter];
	return sum;
}

static void tell_backing(const struct kbdus_program *program,
			 struct kbdus_program_abi_status *status)
{
	const dev_t backing = program->backing ? program->backing->bd_dev : 0;

	kbdus_program_abi_status_set_backing_major(status, MAJOR(backing));
	kbdus_program_abi_status_set_backing_minor(status, MINOR(backing));
}

static int tell(struct kbdus_device *device, struct kbdus_program_abi_status *status)
{
	struct kbdus_program *program = get_program(device);
	const u64 id = kbdus_program_abi_status_id(status);

	memset(status, 0, sizeof(*status));
	kbdus_program_abi_status_set_id(status, id);
	kbdus_program_abi_status_set_instructions(status, program ? program->instructions : 0);
	if (!program)
		return 0;
	kbdus_program_abi_status_set_maps(status, program->maps_count);
	strscpy(status->name, program->name, sizeof(status->name));
	kbdus_program_abi_status_set_flags(
		status, program->compiled ? KBDUS_PROGRAM_ABI_PROGRAM_FLAG_COMPILED : 0);
	kbdus_program_abi_status_set_processors(status, nr_cpu_ids);
	kbdus_program_abi_status_set_fuel(status, program->fuel);
	kbdus_program_abi_status_set_replaced(status, program->replaced);
	tell_backing(program, status);
	kbdus_program_abi_status_set_calls(status, counted(program, COUNT_CALLS));
	kbdus_program_abi_status_set_passed(status, counted(program, COUNT_PASSED));
	kbdus_program_abi_status_set_done(status, counted(program, COUNT_DONE));
	kbdus_program_abi_status_set_redirected(status, counted(program, COUNT_REDIRECTED));
	kbdus_program_abi_status_set_failed(status, counted(program, COUNT_FAILED));
	kbdus_program_abi_status_set_delayed(status, counted(program, COUNT_DELAYED));
	kbdus_program_abi_status_set_exhausted(status, counted(program, COUNT_EXHAUSTED));
	kbdus_program_abi_status_set_refused(status, counted(program, COUNT_REFUSED));
	kbdus_program_put(program);
	return 0;
}

static size_t value_bytes(const struct opvm_map *map)
{
	const struct opvm_map_definition *definition = opvm_map_describe(map);

	if (definition->kind == OPVM_MAP_HISTOGRAM)
		return 64 * sizeof(u64);
	return (size_t)round_up(definition->value_bytes, 8) * opvm_map_processors(map);
}

static int do_map(struct opvm_map *map, const struct kbdus_program_abi_map *how, const void *key,
		  void *value, size_t bytes)
{
	const struct opvm_map_definition *definition = opvm_map_describe(map);
	void __user *theirs = u64_to_user_ptr(kbdus_program_abi_map_value(how));
	int error;

	switch (kbdus_program_abi_map_command(how)) {
	case KBDUS_PROGRAM_ABI_MAP_COMMAND_GET:
		error = opvm_map_get(map, key, value);
		if (definition->kind != OPVM_MAP_HISTOGRAM && definition->kind != OPVM_MAP_PER_CPU)
			bytes = definition->value_bytes;
		break;
	case KBDUS_PROGRAM_ABI_MAP_COMMAND_SET:
		bytes = definition->value_bytes;
		if (kbdus_program_abi_map_value_bytes(how) != bytes)
			return -EINVAL;
		if (copy_from_user(value, theirs, bytes))
			return -EFAULT;
		return opvm_map_set(map, key, value, OPVM_MAP_ANY);
	case KBDUS_PROGRAM_ABI_MAP_COMMAND_DELETE:
		return opvm_map_delete(map, key);
	case KBDUS_PROGRAM_ABI_MAP_COMMAND_NEXT:
		error = opvm_map_next(map, key, value);
		bytes = definition->key_bytes;
		break;
	default:
		return -EINVAL;
	}
	if (error)
		return error;
	if (kbdus_program_abi_map_value_bytes(how) < bytes)
		return -ENOBUFS;
	return copy_to_user(theirs, value, bytes) ? -EFAULT : 0;
}

/* The oldest record of a ring; its length, or 0. */
static int read_ring(struct kbdus_program *program, struct opvm_map *map,
		     const struct kbdus_program_abi_map *how)
{
	const u64 room = kbdus_program_abi_map_value_bytes(how);
	void *record = kvzalloc(MOST_RECORD_BYTES, GFP_KERNEL);
	int bytes;

	if (!record)
		return -ENOMEM;
	mutex_lock(&program->reading);
	bytes = opvm_ring_read(map, record, min_t(u64, room, MOST_RECORD_BYTES));
	mutex_unlock(&program->reading);
	if (bytes > 0 &&
	    copy_to_user(u64_to_user_ptr(kbdus_program_abi_map_value(how)), record, bytes))
		bytes = -EFAULT;
	kvfree(record);
	return bytes;
}

static int describe_map(const struct opvm_map *map, const struct kbdus_program_abi_map *how)
{
	const struct opvm_map_definition *definition = opvm_map_describe(map);

	if (kbdus_program_abi_map_value_bytes(how) != sizeof(*definition))
		return -EINVAL;
	return copy_to_user(u64_to_user_ptr(kbdus_program_abi_map_value(how)), definition,
			    sizeof(*definition))
		       ? -EFAULT
		       : 0;
}

static int use_map(struct opvm_map *map, const struct kbdus_program_abi_map *how)
{
	const struct opvm_map_definition *definition = opvm_map_describe(map);
	const size_t bytes = max_t(size_t, value_bytes(map), definition->key_bytes);
	const bool has_key = kbdus_program_abi_map_key(how) && definition->key_bytes;
	const bool may_lack_key =
		definition->kind == OPVM_MAP_HISTOGRAM ||
		kbdus_program_abi_map_command(how) == KBDUS_PROGRAM_ABI_MAP_COMMAND_NEXT;
	void *key = NULL, *value;
	int error;

	if (definition->kind == OPVM_MAP_RING || (!has_key && !may_lack_key))
		return -EINVAL;
	if (has_key)
		key = copy_array(kbdus_program_abi_map_key(how), 1, definition->key_bytes);
	if (IS_ERR(key))
		return PTR_ERR(key);
	value = kvzalloc(bytes, GFP_KERNEL);
	error = value ? do_map(map, how, key, value, bytes) : -ENOMEM;
	kvfree(value);
	kvfree(key);
	return error;
}

static int command_for(struct kbdus_program *program, struct opvm_map *map,
		       const struct kbdus_program_abi_map *how)
{
	switch (kbdus_program_abi_map_command(how)) {
	case KBDUS_PROGRAM_ABI_MAP_COMMAND_DESCRIBE:
		return describe_map(map, how);
	case KBDUS_PROGRAM_ABI_MAP_COMMAND_READ:
		return read_ring(program, map, how);
	default:
		return use_map(map, how);
	}
}

static int map_command(struct kbdus_device *device, const struct kbdus_program_abi_map *how)
{
	struct kbdus_program *program = get_program(device);
	const u32 index = kbdus_program_abi_map_index(how);
	int error = -ENOENT;

	if (program && index < program->maps_count)
		error = command_for(program, program->maps[index], how);
	kbdus_program_put(program);
	return error;
}

/* ---- commands -------------------------------------------------------------------------------- */

/* What commands are given; each begins with the id. */
union argument {
	struct kbdus_program_abi_load load;
	struct kbdus_program_abi_status status;
	struct kbdus_program_abi_map map;
};

static size_t argument_bytes(unsigned int number)
{
	switch (number) {
	case KBDUS_PROGRAM_ABI_COMMAND_LOAD:
		return sizeof(struct kbdus_program_abi_load);
	case KBDUS_PROGRAM_ABI_COMMAND_UNLOAD:
	case KBDUS_PROGRAM_ABI_COMMAND_STATUS:
		return sizeof(struct kbdus_program_abi_status);
	case KBDUS_PROGRAM_ABI_COMMAND_MAP:
		return sizeof(struct kbdus_program_abi_map);
	default:
		return 0;
	}
}

static int carry_out_command(struct kbdus_device *device, unsigned int number, union argument *copy)
{
	switch (number) {
	case KBDUS_PROGRAM_ABI_COMMAND_LOAD:
		return load(device, &copy->load);
	case KBDUS_PROGRAM_ABI_COMMAND_UNLOAD:
		return exchange(device, NULL, NULL);
	case KBDUS_PROGRAM_ABI_COMMAND_STATUS:
		return tell(device, &copy->status);
	default:
		return map_command(device, &copy->map);
	}
}

long kbdus_program_command(unsigned int number, void __user *argument)
{
	const size_t bytes = argument_bytes(number);
	struct kbdus_device *device;
	union argument copy;
	int error;

	if (!bytes)
		return -ENOTTY;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&copy, argument, bytes))
		return -EFAULT;
	device = kbdus_device_find(kbdus_program_abi_status_id(&copy.status), false);
	if (!device)
		return -ENODEV;
	error = carry_out_command(device, number, &copy);
	kbdus_device_put(device);
	if (error >= 0 && number == KBDUS_PROGRAM_ABI_COMMAND_STATUS &&
	    copy_to_user(argument, &copy, bytes))
		error = -EFAULT;
	return error;
}
