/* SPDX-License-Identifier: MIT */
/*
 * The fields of struct opvm_block for the verifier of whoever runs programs on requests: a table
 * for an opvm_context. The file is for these, in user space and in the kernel, and not for
 * programs.
 *
 *	static const struct opvm_field fields[] = {OPVM_BLOCK_FIELDS(4096)};
 */
#ifndef OPVM_BLOCK_FIELDS_H
#define OPVM_BLOCK_FIELDS_H

#include "opvm.h"
#include "opvm/block.h"

#define OPVM_BLOCK_PLACE(member)                                              \
	.name = #member, .offset_bytes = offsetof(struct opvm_block, member), \
	.size_bytes = sizeof(((struct opvm_block *)0)->member)

#define OPVM_BLOCK_GIVEN(member)                                     \
	{                                                            \
		OPVM_BLOCK_PLACE(member), .kind = OPVM_FIELD_INTEGER \
	}
#define OPVM_BLOCK_ANSWER(member)                                                                  \
	{                                                                                          \
		OPVM_BLOCK_PLACE(member), .kind = OPVM_FIELD_INTEGER, .flags = OPVM_FIELD_WRITABLE \
	}
#define OPVM_BLOCK_BYTES(member, which, most_bytes)                                         \
	{                                                                                   \
		OPVM_BLOCK_PLACE(member), .kind = (which), .region_max_bytes = (most_bytes) \
	}

/** All of them; a program sees at most @most_payload_bytes of a payload. */
#define OPVM_BLOCK_FIELDS(most_payload_bytes)                                                      \
	OPVM_BLOCK_GIVEN(offset_bytes), OPVM_BLOCK_GIVEN(length_bytes), OPVM_BLOCK_GIVEN(time_ns), \
		OPVM_BLOCK_GIVEN(device_bytes), OPVM_BLOCK_GIVEN(block_bytes),                     \
		OPVM_BLOCK_GIVEN(operation), OPVM_BLOCK_GIVEN(flags), OPVM_BLOCK_GIVEN(part),      \
		OPVM_BLOCK_BYTES(payload, OPVM_FIELD_REGION, most_payload_bytes),                  \
		OPVM_BLOCK_BYTES(payload_end, OPVM_FIELD_REGION_END, most_payload_bytes),          \
		OPVM_BLOCK_ANSWER(covers_bytes), OPVM_BLOCK_ANSWER(target_bytes),                  \
		OPVM_BLOCK_ANSWER(delay_ns), OPVM_BLOCK_ANSWER(status), OPVM_BLOCK_GIVEN(result),  \
		OPVM_BLOCK_GIVEN(elapsed_ns), OPVM_BLOCK_GIVEN(backends),                          \
		OPVM_BLOCK_ANSWER(backend)

#endif
