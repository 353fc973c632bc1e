/* SPDX-License-Identifier: MIT */
/*
 * ioctls: the numbers of commands, which clients need as well; and for drivers the table that tells
 * the kernel what arguments are made of, with functions that find what their pointers lead to.
 */
#include "emit.h"

/* ---- numbers ---- */

static const char *ioctl_name(struct emit *e, const struct ioctl *ioctl, bool narrow)
{
	return fmt(e, "%s%s", upper(e, fmt(e, "%s_ioctl_%s", e->unit->format, ioctl->name)),
		   narrow ? "_32" : "");
}

bool has_narrow_number(const struct ioctl *ioctl)
{
	return ioctl->encoded != NULL && ioctl->encoded->strct != NULL &&
	       ioctl->encoded->strct->narrow != NULL;
}

static uint64_t encoded_bytes(const struct ioctl *ioctl, bool narrow)
{
	const struct field *what = ioctl->encoded;

	if (what == NULL)
		return 0;
	if (what->strct != NULL)
		return struct_for(what->strct, narrow)->size;
	return (what->type == TYPE_SCALAR || what->type == TYPE_UTF16 ? what->scalar.bytes : 1) *
	       (what->array == ARRAY_NONE ? 1 : what->count->number);
}

static void emit_number(struct emit *e, const struct ioctl *ioctl, bool narrow)
{
	static const char *const directions[] = {
		[0] = "_IOC_NONE",
		[DIRECTION_IN] = "_IOC_WRITE",
		[DIRECTION_OUT] = "_IOC_READ",
		[DIRECTION_IN | DIRECTION_OUT] = "_IOC_READ | _IOC_WRITE",
	};
	const char *name = ioctl_name(e, ioctl, narrow);

	if (ioctl->code != NULL)
		line(e, "#define %s UINT32_C(0x%llx)", name,
		     (unsigned long long)ioctl->code->number);
	else
		line(e, "#define %s _IOC(%s, 0x%llxU, %lluU, %lluU)", name,
		     directions[ioctl->encoded_direction],
		     (unsigned long long)ioctl->letter->number,
		     (unsigned long long)ioctl->number->number,
		     (unsigned long long)encoded_bytes(ioctl, narrow));
}

void emit_ioctl_numbers(struct emit *e)
{
	for (const struct ioctl *ioctl = e->unit->ioctls; ioctl != NULL; ioctl = ioctl->next) {
		put_doc(e, ioctl->doc);
		emit_number(e, ioctl, false);
		if (has_narrow_number(ioctl))
			emit_number(e, ioctl, true);
	}
	if (e->unit->ioctls != NULL)
		blank(e);
}

/* ---- the table ---- */

static const char *part_flags(struct emit *e, const struct ioctl *ioctl,
			      const struct ioctl_part *part, const char *clients)
{
	const char *words = part->direction & DIRECTION_IN ? "BDUS_IOCTL_IN" : "";

	if (part->direction & DIRECTION_OUT)
		words = fmt(e, "%s%sBDUS_IOCTL_OUT", words, *words == '\0' ? "" : " | ");
	if (part->is_string)
		words = fmt(e, "%s | BDUS_IOCTL_STRING", words);
	if (part->pointer == NULL)
		words = fmt(e, "%s | %s%s", words, clients,
			    ioctl->is_repeatable ? " | BDUS_IOCTL_REPEATABLE" : "");
	return words;
}

static void emit_part(struct emit *e, const struct ioctl_part *part, const char *command,
		      const char *flags)
{
	line(e, "\t/* %s */", part->path);
	line(e, "\t{%s, %s, %llu, %llu, %u, %u, %u, %llu, %llu, 0},", command, flags,
	     (unsigned long long)part->element_bytes, (unsigned long long)part->count, part->parent,
	     part->pointer == NULL ? 0 : part->pointer->scalar.bytes, part->count_width,
	     (unsigned long long)part->pointer_at, (unsigned long long)part->count_at);
}

static unsigned emit_parts(struct emit *e, const struct ioctl *ioctl, const struct ioctl_part *part,
			   bool narrow, const char *clients)
{
	const char *command = ioctl_name(e, ioctl, narrow && has_narrow_number(ioctl));
	unsigned count = 0;

	for (; part != NULL; part = part->next, count++)
		emit_part(e, part, command, part_flags(e, ioctl, part, clients));
	return count;
}

static unsigned emit_command(struct emit *e, const struct ioctl *ioctl)
{
	if (ioctl->narrow_parts == NULL)
		return emit_parts(e, ioctl, ioctl->parts, false,
				  "BDUS_IOCTL_CLIENT_64 | BDUS_IOCTL_CLIENT_32");
	return emit_parts(e, ioctl, ioctl->parts, false, "BDUS_IOCTL_CLIENT_64") +
	       emit_parts(e, ioctl, ioctl->narrow_parts, true, "BDUS_IOCTL_CLIENT_32");
}

static void emit_table(struct emit *e)
{
	const char *format = e->unit->format;
	unsigned count = 0;

	line(e, "/** What arguments are made of: `ioctl_parts` of a driver's attributes. */");
	line(e, "static const struct bdus_ioctl_part %s_ioctl_parts[] = {", format);
	line(e, "\t/* command, flags, element_bytes, count, parent, pointer_width, count_width, "
		"pointer_at, count_at, reserved */");
	for (const struct ioctl *ioctl = e->unit->ioctls; ioctl != NULL; ioctl = ioctl->next)
		count += emit_command(e, ioctl);
	line(e, "};");
	line(e, "#define %s %u", upper(e, fmt(e, "%s_ioctl_part_count", format)), count);
	blank(e);
}

/* ---- what pointers lead to ---- */

static const char *target_type(struct emit *e, const struct field *target)
{
	if (target->type == TYPE_STRUCT)
		return fmt(e, "struct %s ", struct_prefix(e, target->strct));
	if (target->type == TYPE_TEXT)
		return "char ";
	if (target->type == TYPE_BYTES)
		return "unsigned char ";
	return fmt(e, "%s ",
		   target->scalar.bytes == 1
			   ? "wire_u8"
			   : fmt(e, "wire_%s%u", order_letters(target->scalar.order),
				 8 * target->scalar.bytes));
}

static void emit_target(struct emit *e, const struct field *field)
{
	const char *p = struct_prefix(e, field->owner);
	/* Of clients of either width: the driver knows which. */
	const bool either = field->target->strct != NULL && field->target->strct->narrow != NULL &&
			    field->owner->narrow == NULL;
	const char *type = either ? "void " : target_type(e, field->target);

	line(e, "static inline %s*%s_at_%s(const struct %s *s, void *payload)", type, p,
	     field->name, p);
	open_block(e);
	line(e, "return (%s*)bdus_ioctl_at(payload, %s_%s(s));", type, p, field->name);
	close_block(e);
	blank(e);
}

static bool has_parts(const struct unit *unit)
{
	for (const struct ioctl *ioctl = unit->ioctls; ioctl != NULL; ioctl = ioctl->next)
		if (ioctl->parts != NULL)
			return true;
	return false;
}

void emit_ioctls(struct compiler *c, struct unit *unit, struct text *out)
{
	struct emit e = {.c = c, .unit = unit, .out = out};
	const char *guard = upper(&e, fmt(&e, "WIRE_%s_IOCTLS_GENERATED_H", unit->format));

	if (!has_parts(unit)) {
		report(c, &(struct pos){.source = &unit->source, .line = 1, .column = 1}, "ioctl",
		       "no ioctl with an argument is declared here");
		return;
	}
	line(&e, "/* Generated by wirec from %s.wire: edit that. */", unit->base);
	line(&e, "#ifndef %s", guard);
	line(&e, "#define %s", guard);
	blank(&e);
	line(&e, "#include \"%s.h\"", unit->base);
	line(&e, "#include <bdus/ioctl.h>");
	blank(&e);
	emit_table(&e);
	line(&e,
	     "/* In the payload of a request, where pointers are distances: what they lead to, or "
	     "NULL. */");
	blank(&e);
	for (const struct strct *s = unit->structs; s != NULL; s = s->next)
		for (const struct field *field = s->fields; field != NULL; field = field->next)
			if (field->target != NULL)
				emit_target(&e, field);
	line(&e, "#endif");
}
