/* SPDX-License-Identifier: MIT */
/*
 * Operations and companions.
 */
#include "talk.h"

#include "check.h"

static void test_operations_know_their_messages(void)
{
	struct talk_read_request request;
	struct wire_fault fault;

	CHECK_EQUAL(talk_operation_count, 3);
	CHECK_EQUAL(TALK_OPERATION_FLUSH, 3);
	CHECK_EQUAL(talk_operations[2].code, TALK_OPERATION_STOP);
	CHECK(strcmp(talk_operations[0].name, "read") == 0);
	CHECK_EQUAL(talk_operations[0].fds, 1);
	CHECK(talk_operations[1].reply_check == NULL && talk_operations[2].request_check == NULL);
	talk_read_request_init(&request);
	talk_read_request_set_length(&request, 4096);
	CHECK_EQUAL(talk_operations[0].request_check(&request, sizeof(request), &fault), 0);
	CHECK_EQUAL(talk_operations[0].request_check(&request, sizeof(request) - 1, &fault),
		    -ENODATA);
	CHECK_EQUAL(talk_operations[0].reply_check("\5\0\3\0abc", 7, &fault),
		    WIRE_NATIVE == WIRE_LITTLE ? 0 : -EPROTONOSUPPORT);
	CHECK(talk_operations[0].reply_check("\5\0\3\0ab", 6, &fault) < 0);
}

static void test_native_fields_are_the_machine_s_own(void)
{
	struct talk_read_request request;
	uint64_t offset;

	talk_read_request_set_offset(&request, 0x123456789abcdef0);
	memcpy(&offset, &request, sizeof(offset));
	CHECK_EQUAL(offset, 0x123456789abcdef0);
}

static void test_companions_carry_the_user_s_fields(void)
{
	struct talk_read_request_cached cached = {.users = 3};
	struct talk_read_reply_live live = {.owner = &cached};

	CHECK_EQUAL(sizeof(cached.image), TALK_READ_REQUEST_SIZE);
	CHECK(talk_read_request_cached_of(&cached.image) == &cached);
	CHECK(talk_read_reply_live_of(&live.view)->owner == &cached);
}

int main(void)
{
	RUN(test_operations_know_their_messages);
	RUN(test_native_fields_are_the_machine_s_own);
	RUN(test_companions_carry_the_user_s_fields);
	return 0;
}
