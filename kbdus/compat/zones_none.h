/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A kernel without zoned devices, or before 6.11, which needs a scheduler to keep their writes in
 * order.
 */
#define KBDUS_HAS_ZONES false

struct queue_limits;

static inline void kbdus_zones_limit(struct queue_limits *limits,
				     const struct kbdus_abi_zoned *zoned)
{
}

static inline int kbdus_zones_revalidate(struct gendisk *disk)
{
	return -EOPNOTSUPP;
}
