/* SPDX-License-Identifier: MIT */
/*
 * What kbdus can do on this machine and for this user.
 */
#include "base/bits.h"
#include "base/error.h"
#include "kbdus_internal.h"

#include <stdio.h>
#include <unistd.h>

static void say(struct bdus_transport_report *report, enum bdus_feature feature, bool supported,
		const char *reason)
{
	report->features[feature].supported = supported;
	snprintf(report->features[feature].reason, sizeof(report->features[feature].reason), "%s",
		 reason);
}

static const enum bdus_feature carried[] = {
	BDUS_FEATURE_BLOCK_DEVICE, BDUS_FEATURE_READ_ONLY,      BDUS_FEATURE_FLUSH,
	BDUS_FEATURE_FUA,          BDUS_FEATURE_DISCARD,        BDUS_FEATURE_WRITE_ZEROS,
	BDUS_FEATURE_SECURE_ERASE, BDUS_FEATURE_PARTITION_SCAN, BDUS_FEATURE_NO_PARTITION_SCAN,
	BDUS_FEATURE_MULTI_QUEUE,  BDUS_FEATURE_RECOVERY,       BDUS_FEATURE_IOCTL,
};

/* Whether the module that @fd is of, or that is not there, has zones. */
static void report_zones(struct bdus_transport_report *report, int fd)
{
	struct kbdus_abi_version version = {0};
	const bool told = fd >= 0 && kbdus_control_version(fd, &version) == 0;
	const bool has = kbdus_abi_version_features(&version) & KBDUS_ABI_FEATURE_ZONES;

	say(report, BDUS_FEATURE_ZONES, has,
	    has    ? ""
	    : told ? "since Linux 6.11, where that has zones"
		   : "kbdus does not work here");
}

static void report_features(struct bdus_transport_report *report, bool usable)
{
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(carried); i++)
		say(report, carried[i], usable, usable ? "" : "kbdus does not work here");
	say(report, BDUS_FEATURE_REMOTE, false, "the device is local");
	say(report, BDUS_FEATURE_EXTENTS, false, "block devices cannot be asked");
	say(report, BDUS_FEATURE_CACHE, false, "block devices cannot be told");
	say(report, BDUS_FEATURE_UNPRIVILEGED, false, "the module wants CAP_SYS_ADMIN");
	say(report, BDUS_FEATURE_ZERO_COPY, false, "payloads are copied once, by the module");
}

void kbdus_probe(struct bdus_transport_report *report)
{
	const int fd = kbdus_control_open();

	report_zones(report, fd);
	report->usable = fd >= 0;
	if (fd < 0)
		snprintf(report->reason, sizeof(report->reason), "%s", base_error_message());
	report_features(report, report->usable);
	if (fd >= 0)
		close(fd);
}
