/* SPDX-License-Identifier: MIT */
/*
 * The structures of kbdus: what is set is read back, and every damage is found or does no harm.
 * That the module takes them is what tests/system shows.
 */
#include "abi_test.h"
#include "kbdus.h"

SUBJECT_FIXED(kbdus_abi_version);
SUBJECT_FIXED(kbdus_abi_device);
SUBJECT_FIXED(kbdus_abi_attach);
SUBJECT_FIXED(kbdus_abi_rings);
SUBJECT_FIXED(kbdus_abi_request);
SUBJECT_FIXED(kbdus_abi_result);

static void check_one(const struct subject *subject, const void *data, size_t size)
{
	assert_sound(subject, data, size);
	assert_rewritten(subject, data, size);
	corrupt(subject, data, size, (struct range){0, size}, NULL);
	truncate_all(subject, data, size);
}

static void devices_are_read_back(void **state)
{
	struct kbdus_abi_version version;
	struct kbdus_abi_device device;
	struct kbdus_abi_attach attach;

	(void)state;
	kbdus_abi_version_init(&version);
	kbdus_abi_device_init(&device);
	kbdus_abi_attach_init(&attach);
	kbdus_abi_device_set_id(&device, UINT64_MAX);
	kbdus_abi_device_set_state(&device, KBDUS_ABI_STATE_LIVE);
	kbdus_abi_device_set_ops(&device, KBDUS_ABI_OPS_READ | KBDUS_ABI_OPS_SECURE_ERASE);
	kbdus_abi_device_set_start_result(&device, -5);
	check_one(&kbdus_abi_version_subject, &version, sizeof(version));
	check_one(&kbdus_abi_device_subject, &device, sizeof(device));
	check_one(&kbdus_abi_attach_subject, &attach, sizeof(attach));
	assert_prints(&kbdus_abi_device_subject, &device, sizeof(device), "SECURE_ERASE");
	assert_int_equal(kbdus_abi_device_start_result(&device), -5);
}

static void entries_of_rings_are_read_back(void **state)
{
	struct kbdus_abi_request request;
	struct kbdus_abi_result result;
	struct kbdus_abi_rings rings;

	(void)state;
	kbdus_abi_rings_init(&rings);
	kbdus_abi_request_init(&request);
	kbdus_abi_result_init(&result);
	kbdus_abi_request_set_op(&request, KBDUS_ABI_OP_DISCARD);
	kbdus_abi_request_set_length_bytes(&request, UINT64_C(1) << 40);
	kbdus_abi_result_set_result(&result, -28);
	check_one(&kbdus_abi_rings_subject, &rings, sizeof(rings));
	check_one(&kbdus_abi_request_subject, &request, sizeof(request));
	check_one(&kbdus_abi_result_subject, &result, sizeof(result));
	assert_int_equal(sizeof(rings), KBDUS_ABI_ENTRIES_OFFSET);
	assert_int_equal(kbdus_abi_result_result(&result), -28);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_read_back),
		cmocka_unit_test(entries_of_rings_are_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
