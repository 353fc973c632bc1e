/* SPDX-License-Identifier: MIT */
/*
 * The structures of ublk: what is set is read back and lies where the kernel looks for it, in the
 * byte order of the machine. That real kernels take them is what tests/system shows.
 */
#include "abi_test.h"
#include "ublk.h"

SUBJECT_FIXED(ublk_abi_ctrl_cmd);
SUBJECT_FIXED(ublk_abi_dev_info);
SUBJECT_FIXED(ublk_abi_params);
SUBJECT_FIXED(ublk_abi_io_cmd);
SUBJECT_FIXED(ublk_abi_io_desc);
SUBJECT_FIXED(ublk_abi_batch_io);
SUBJECT_DYNAMIC(ublk_abi_all_params);

static uint16_t batch_flags;
SUBJECT_DYNAMIC(ublk_abi_batch_element, batch_flags);

static void check_one(const struct subject *subject, const void *data, size_t size)
{
	assert_sound(subject, data, size);
	assert_rewritten(subject, data, size);
	corrupt(subject, data, size, (struct range){0, size}, NULL);
	truncate_all(subject, data, size);
}

static void device_information_is_read_back(void **state)
{
	struct ublk_abi_dev_info info;
	uint64_t flags;
	uint32_t number;

	(void)state;
	ublk_abi_dev_info_init(&info);
	ublk_abi_dev_info_set_nr_hw_queues(&info, 2);
	ublk_abi_dev_info_set_queue_depth(&info, 128);
	ublk_abi_dev_info_set_state(&info, UBLK_ABI_STATE_QUIESCED);
	ublk_abi_dev_info_set_dev_id(&info, 77);
	ublk_abi_dev_info_set_server_pid(&info, -1);
	ublk_abi_dev_info_set_flags(&info, UBLK_ABI_F_IOCTL_ENCODE | UBLK_ABI_F_NO_PARTITION_SCAN);
	check_one(&ublk_abi_dev_info_subject, &info, sizeof(info));
	assert_prints(&ublk_abi_dev_info_subject, &info, sizeof(info), "QUIESCED");
	assert_prints(&ublk_abi_dev_info_subject, &info, sizeof(info), "NO_PARTITION_SCAN");
	assert_int_equal(ublk_abi_dev_info_server_pid(&info), -1);
	memcpy(&number, (const char *)&info + 12, 4);
	assert_int_equal(number, 77);
	memcpy(&flags, (const char *)&info + 24, 8);
	assert_int_equal(flags, 1 << 6 | 1 << 18);
	edit(&ublk_abi_dev_info_subject, &info, sizeof(info), "state", "LIVE");
	assert_int_equal(ublk_abi_dev_info_state(&info), UBLK_ABI_STATE_LIVE);
}

static void commands_are_sound(void **state)
{
	struct ublk_abi_ctrl_cmd command;
	struct ublk_abi_params params;
	struct ublk_abi_io_cmd io;
	struct ublk_abi_io_desc request;

	(void)state;
	ublk_abi_ctrl_cmd_init(&command);
	ublk_abi_ctrl_cmd_set_queue_id(&command, 0xffff);
	ublk_abi_ctrl_cmd_set_addr(&command, UINT64_C(0x7f0012345678));
	check_one(&ublk_abi_ctrl_cmd_subject, &command, sizeof(command));
	ublk_abi_params_init(&params);
	ublk_abi_params_set_len(&params, sizeof(params));
	ublk_abi_params_set_types(&params, UBLK_ABI_PARAM_BASIC | UBLK_ABI_PARAM_DISCARD);
	ublk_abi_params_set_attrs(&params, UBLK_ABI_ATTR_VOLATILE_CACHE | UBLK_ABI_ATTR_FUA);
	ublk_abi_params_set_dev_sectors(&params, UINT64_MAX);
	check_one(&ublk_abi_params_subject, &params, sizeof(params));
	ublk_abi_io_cmd_init(&io);
	ublk_abi_io_cmd_set_result(&io, -5);
	check_one(&ublk_abi_io_cmd_subject, &io, sizeof(io));
	assert_int_equal(ublk_abi_io_cmd_result(&io), -5);
	ublk_abi_io_desc_init(&request);
	ublk_abi_io_desc_set_op_flags(&request,
				      UBLK_ABI_OP_WRITE_ZEROES | UBLK_ABI_REQUEST_NO_UNMAP);
	check_one(&ublk_abi_io_desc_subject, &request, sizeof(request));
}

/* A driver says by its length which parts it knows; the rest is not there. */
static void parts_are_there_as_far_as_the_length_goes(void **state)
{
	uint32_t data[38] = {0};
	struct ublk_abi_all_params_view view;

	(void)state;
	for (uint32_t length = 8; length <= sizeof(data); length++) {
		data[0] = length;
		assert_sound(&ublk_abi_all_params_subject, data, length);
		assert_int_equal(ublk_abi_all_params_check(&view, data, length, NULL), 0);
		assert_int_equal(ublk_abi_all_params_has_attrs(&view), length >= 12);
		assert_int_equal(ublk_abi_all_params_has_dev_sectors(&view), length >= 32);
		assert_int_equal(ublk_abi_all_params_has_max_discard_segments(&view), length >= 58);
		assert_int_equal(ublk_abi_all_params_has_disk_minor(&view), length >= 76);
		assert_int_equal(ublk_abi_all_params_has_dma_alignment(&view), length >= 112);
		assert_int_equal(ublk_abi_all_params_has_integrity_tag_size(&view), length >= 147);
		data[12] = 0x12345678;
		assert_int_equal(ublk_abi_all_params_max_discard_sectors(&view),
				 length >= 52 ? 0x12345678 : 0);
	}
	data[0] = 4;
	assert_refused(&ublk_abi_all_params_subject, data, sizeof(data), "len");
	data[0] = sizeof(data);
	corrupt(&ublk_abi_all_params_subject, data, sizeof(data), (struct range){0, sizeof(data)},
		NULL);
	truncate_all(&ublk_abi_all_params_subject, data, sizeof(data));
}

static void elements_of_batches_have_what_their_flags_say(void **state)
{
	uint64_t data[3] = {0, 1, 2};
	struct ublk_abi_batch_element_view view;

	(void)state;
	for (batch_flags = 0; batch_flags < 4; batch_flags++) {
		const bool has_address = batch_flags & UBLK_ABI_BATCH_BUFFER_ADDRESS;
		const bool has_zone = batch_flags & UBLK_ABI_BATCH_ZONE_LBA;

		assert_int_equal(
			ublk_abi_batch_element_check(&view, data, sizeof(data), batch_flags, NULL),
			0);
		assert_int_equal(view.length, 8 + 8 * has_address + 8 * has_zone);
		assert_int_equal(ublk_abi_batch_element_buffer_addr(&view), has_address ? 1 : 0);
		assert_int_equal(ublk_abi_batch_element_zone_lba(&view),
				 has_zone ? 1 + has_address : 0);
		check_one(&ublk_abi_batch_element_subject, data, view.length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_information_is_read_back),
		cmocka_unit_test(commands_are_sound),
		cmocka_unit_test(parts_are_there_as_far_as_the_length_goes),
		cmocka_unit_test(elements_of_batches_have_what_their_flags_say),
	};

	return exit_code(cmocka_run_group_tests(tests, NULL, NULL));
}
