/* SPDX-License-Identifier: MIT */
/*
 * Which program this is: by the build id that its linker gave it, or by device, inode and time of
 * its file; an interpreter also by its script, since that decides what is allocated.
 */
#include "store.h"
#include "text.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_HEADERS 64u

static uint64_t mix(uint64_t sum, const void *data, size_t size_bytes)
{
	const unsigned char *const bytes = data;

	for (size_t i = 0; i < size_bytes; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void add(struct identity *identity, const void *data, size_t size_bytes)
{
	uint64_t halves[2];

	memcpy(halves, identity->key, sizeof(halves));
	halves[0] = mix(halves[0] ^ UINT64_C(0xcbf29ce484222325), data, size_bytes);
	halves[1] =
		mix(halves[1] ^ UINT64_C(0x9ae16a3b2f90404f), data, size_bytes) ^ halves[0] >> 29;
	memcpy(identity->key, halves, sizeof(halves));
}

static void add_file(struct identity *identity, const char *path, bool with_time)
{
	struct stat file;

	if (stat(path, &file) != 0)
		return;
	add(identity, &file.st_dev, sizeof(file.st_dev));
	add(identity, &file.st_ino, sizeof(file.st_ino));
	if (with_time)
		add(identity, &file.st_mtim, sizeof(file.st_mtim));
}

/** Adds the build id among notes of @size_bytes, all of which can be read. */
static bool add_build_id(struct identity *identity, const char *notes, size_t size_bytes)
{
	size_t offset = 0;

	while (size_bytes - offset >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		size_t name, text;

		memcpy(&note, notes + offset, sizeof(note));
		name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		text = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		offset += sizeof(note);
		if (name > size_bytes - offset || text > size_bytes - offset - name)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + offset, "GNU", 4) == 0 && note.n_descsz != 0) {
			add(identity, notes + offset + name, note.n_descsz);
			return true;
		}
		offset += name + text;
	}
	return false;
}

static bool is_interpreter(const char *name)
{
	static const char names[][8] = {"python", "perl", "ruby", "lua", "node",
					"php",    "bash", "dash", "sh",  "guile"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *rest = text_after(name, names[i]);

		while (rest != NULL && ((*rest >= '0' && *rest <= '9') || *rest == '.'))
			rest++;
		if (rest != NULL && *rest == '\0')
			return true;
	}
	return false;
}

/** The last part of @path, or as much of it as fits. */
static void set_name(struct identity *identity, const char *path)
{
	const char *name = path;

	for (; *path != '\0'; path++)
		if (*path == '/')
			name = path + 1;
	for (size_t i = 0; i < STORE_NAME; i++)
		identity->name[i] = 0;
	for (size_t i = 0; i < STORE_NAME - 1 && name[i] != '\0'; i++)
		identity->name[i] = name[i];
}

/** The notes of the running program, which the kernel has mapped. */
static bool add_own_build_id(struct identity *identity)
{
	const ElfW(Phdr) *const headers = (const void *)getauxval(AT_PHDR);
	const unsigned long count = getauxval(AT_PHNUM);
	ElfW(Addr) base = 0;

	if (headers == NULL || getauxval(AT_PHENT) != sizeof(*headers))
		return false;
	for (unsigned long i = 0; i < count; i++)
		if (headers[i].p_type == PT_PHDR)
			base = (ElfW(Addr))headers - headers[i].p_vaddr;
	for (unsigned long i = 0; i < count; i++)
		if (headers[i].p_type == PT_NOTE &&
		    add_build_id(identity, (const char *)(base + headers[i].p_vaddr),
				 headers[i].p_memsz))
			return true;
	return false;
}

void identify(struct identity *identity, int count, char *const arguments[])
{
	const char *const path = (const char *)getauxval(AT_EXECFN);

	*identity = (struct identity){.name = ""};
	set_name(identity, path == NULL ? "" : path);
	if (!add_own_build_id(identity))
		add_file(identity, "/proc/self/exe", true);
	if (count > 1 && arguments[1][0] != '-' && is_interpreter(identity->name))
		add_file(identity, arguments[1], false);
}

/** Looks for the build id in a file's own words about itself, none of which are believed. */
static bool add_mapped_build_id(struct identity *identity, const char *file, size_t size_bytes)
{
	ElfW(Ehdr) head;

	if (size_bytes < sizeof(head))
		return false;
	memcpy(&head, file, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_phentsize != sizeof(ElfW(Phdr)) || head.e_phnum > MOST_HEADERS ||
	    head.e_phoff > size_bytes ||
	    size_bytes - head.e_phoff < head.e_phnum * sizeof(ElfW(Phdr)))
		return false;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		ElfW(Phdr) part;

		memcpy(&part, file + head.e_phoff + i * sizeof(part), sizeof(part));
		if (part.p_type == PT_NOTE && part.p_offset <= size_bytes &&
		    part.p_filesz <= size_bytes - part.p_offset &&
		    add_build_id(identity, file + part.p_offset, part.p_filesz))
			return true;
	}
	return false;
}

static bool add_build_id_of(struct identity *identity, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat file;
	bool found = false;
	void *map;

	if (fd < 0)
		return false;
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0) {
		map = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED) {
			found = add_mapped_build_id(identity, map, (size_t)file.st_size);
			munmap(map, (size_t)file.st_size);
		}
	}
	close(fd);
	return found;
}

int identify_file(struct identity *identity, const char *path, const char *script)
{
	struct stat file;

	if (stat(path, &file) != 0)
		return -errno;
	if (!S_ISREG(file.st_mode))
		return -EINVAL;
	*identity = (struct identity){.name = ""};
	set_name(identity, path);
	if (!add_build_id_of(identity, path))
		add_file(identity, path, true);
	if (script != NULL && script[0] != '-' && is_interpreter(identity->name))
		add_file(identity, script, false);
	return 0;
}
