/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked list whose links live in the elements. The head is a link of its own; an element
 * is in at most one list at a time. Not safe against concurrent use.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/bits.h"

struct base_list {
	struct base_list *next;
	struct base_list *previous;
};

static inline void base_list_init(struct base_list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool base_list_is_empty(const struct base_list *list)
{
	return list->next == list;
}

static inline void base_list_push_back(struct base_list *list, struct base_list *element)
{
	element->next = list;
	element->previous = list->previous;
	list->previous->next = element;
	list->previous = element;
}

static inline void base_list_push_front(struct base_list *list, struct base_list *element)
{
	base_list_push_back(list->next, element);
}

/** Takes @element out of its list and leaves it as an empty list of its own. */
static inline void base_list_remove(struct base_list *element)
{
	element->previous->next = element->next;
	element->next->previous = element->previous;
	base_list_init(element);
}

/** The first element, removed; NULL when the list is empty. */
static inline struct base_list *base_list_pop_front(struct base_list *list)
{
	struct base_list *const element = list->next;

	if (element == list)
		return NULL;
	base_list_remove(element);
	return element;
}

/** Walks the list; the current element must not be removed on the way. */
#define base_list_for_each(element, list) \
	for (struct base_list *element = (list)->next; element != (list); element = element->next)

#define base_list_entry(element, type, member) base_container_of(element, type, member)

#endif
