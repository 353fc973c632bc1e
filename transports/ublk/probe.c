/* SPDX-License-Identifier: MIT */
/*
 * What ublk can do on this machine and for this user: found out by asking, never by the kernel's
 * version.
 */
#include "base/error.h"
#include "ublk_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say_yes(struct bdus_transport_report *report, enum bdus_feature feature,
		    const char *remark)
{
	report->features[feature].supported = true;
	snprintf(report->features[feature].reason, sizeof(report->features[feature].reason), "%s",
		 remark);
}

static void say_no(struct bdus_transport_report *report, enum bdus_feature feature,
		   const char *reason)
{
	report->features[feature].supported = false;
	snprintf(report->features[feature].reason, sizeof(report->features[feature].reason), "%s",
		 reason);
}

/* What follows from the protocol alone. */
static void report_fixed_features(struct bdus_transport_report *report)
{
	static const enum bdus_feature always[] = {
		BDUS_FEATURE_BLOCK_DEVICE, BDUS_FEATURE_READ_ONLY, BDUS_FEATURE_FLUSH,
		BDUS_FEATURE_FUA,          BDUS_FEATURE_DISCARD,   BDUS_FEATURE_WRITE_ZEROS,
		BDUS_FEATURE_MULTI_QUEUE,
	};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		say_yes(report, always[i], "");
	say_no(report, BDUS_FEATURE_REMOTE, "the device is local");
	say_no(report, BDUS_FEATURE_SECURE_ERASE, "the kernel's ublk protocol lacks it");
	say_no(report, BDUS_FEATURE_EXTENTS, "block devices cannot be asked");
	say_no(report, BDUS_FEATURE_CACHE, "block devices cannot be told");
	say_no(report, BDUS_FEATURE_IOCTL, "the kernel's ublk protocol lacks it");
}

static void report_partition_scan(struct bdus_transport_report *report, uint64_t features,
				  bool privileged)
{
	if (!privileged) {
		say_no(report, BDUS_FEATURE_PARTITION_SCAN,
		       "the kernel never scans devices of unprivileged users");
		say_yes(report, BDUS_FEATURE_NO_PARTITION_SCAN, "always so for unprivileged users");
		return;
	}
	say_yes(report, BDUS_FEATURE_PARTITION_SCAN, "");
	say_yes(report, BDUS_FEATURE_NO_PARTITION_SCAN,
		features & UBLK_ABI_F_NO_PARTITION_SCAN
			? ""
			: "on this kernel, later scans on request are refused as well");
}

static void report_unprivileged(struct bdus_transport_report *report, uint64_t features)
{
	if (features & UBLK_ABI_F_UNPRIVILEGED)
		say_yes(report, BDUS_FEATURE_UNPRIVILEGED,
			"needs udev rules that give the user the device files");
	else
		say_no(report, BDUS_FEATURE_UNPRIVILEGED,
		       "this kernel does not report it (since Linux 6.5)");
}

static void report_zones(struct bdus_transport_report *report, uint64_t features, bool privileged)
{
	if (!(features & UBLK_ABI_F_ZONED))
		say_no(report, BDUS_FEATURE_ZONES,
		       "this kernel does not report it (since Linux 6.6)");
	else if (!privileged)
		say_no(report, BDUS_FEATURE_ZONES, "not for unprivileged users");
	else
		say_yes(report, BDUS_FEATURE_ZONES, "");
}

static void report_recovery(struct bdus_transport_report *report, bool privileged)
{
	if (!privileged)
		say_no(report, BDUS_FEATURE_RECOVERY, "only for devices of root");
	else
		say_yes(report, BDUS_FEATURE_RECOVERY, "of devices that were made recoverable");
}

static void report_zero_copy(struct bdus_transport_report *report, uint64_t features,
			     bool privileged)
{
	if ((features & UBLK_ZERO_COPY_FLAGS) != UBLK_ZERO_COPY_FLAGS)
		say_no(report, BDUS_FEATURE_ZERO_COPY,
		       "this kernel does not register payloads by itself (since Linux 6.16)");
	else if (!privileged)
		say_no(report, BDUS_FEATURE_ZERO_COPY, "only for devices of root");
	else
		say_yes(report, BDUS_FEATURE_ZERO_COPY, "for drivers that can do so");
}

static void report_usable(struct bdus_transport_report *report, const struct ublk_control *control)
{
	const uint64_t features = ublk_control_features(control);
	const bool privileged = ublk_has_privilege();

	report_partition_scan(report, features, privileged);
	report_unprivileged(report, features);
	report_zero_copy(report, features, privileged);
	report_zones(report, features, privileged);
	report_recovery(report, privileged);
	report->usable = privileged || (features & UBLK_ABI_F_UNPRIVILEGED) != 0;
	if (!report->usable)
		snprintf(report->reason, sizeof(report->reason),
			 "ublk needs the capability CAP_SYS_ADMIN here: this kernel has no "
			 "unprivileged ublk devices (since Linux 6.5)");
}

void ublk_probe(struct bdus_transport_report *report)
{
	struct ublk_control *control;

	report_fixed_features(report);
	if (ublk_control_create(&control) < 0) {
		snprintf(report->reason, sizeof(report->reason), "%s", base_error_message());
		for (unsigned i = 0; i < BDUS_FEATURE_COUNT; i++) {
			if (report->features[i].supported)
				say_no(report, i, "ublk does not work here");
		}
		say_no(report, BDUS_FEATURE_PARTITION_SCAN, "ublk does not work here");
		say_no(report, BDUS_FEATURE_NO_PARTITION_SCAN, "ublk does not work here");
		say_no(report, BDUS_FEATURE_UNPRIVILEGED, "ublk does not work here");
		say_no(report, BDUS_FEATURE_ZERO_COPY, "ublk does not work here");
		say_no(report, BDUS_FEATURE_RECOVERY, "ublk does not work here");
		return;
	}
	report_usable(report, control);
	ublk_control_destroy(control);
}
