/* SPDX-License-Identifier: MIT */
/*
 * For comparing a described structure with a C header's own, by the compiler.
 */
#ifndef ABI_TESTS_SAME_LAYOUT_H
#define ABI_TESTS_SAME_LAYOUT_H

#include <assert.h>
#include <stddef.h>

/** A member of our structure and the one of theirs that lies in the same bytes. */
#define SAME(ours, our_member, theirs, their_member)                              \
	static_assert(offsetof(struct ours, our_member) ==                        \
				      offsetof(struct theirs, their_member) &&    \
			      sizeof(((struct ours *)0)->our_member) ==           \
				      sizeof(((struct theirs *)0)->their_member), \
		      #ours "." #our_member)

#define SAME_SIZE(ours, theirs) static_assert(sizeof(struct ours) == sizeof(struct theirs), #ours)

#endif
