/* SPDX-License-Identifier: MIT */
/*
 * Allocators keep the C library's threads and locks: an allocator is called by threads of the
 * kernel that are none of ours as well (those of asys, its own), which take the same locks, and its
 * thread-local variables are for what runs on one. Nothing else of a worker runs while a thread is
 * within it, as its locks do not let others run. So what the loader bound to this library in them
 * is bound to the C library instead, before main().
 */
#include "preload_internal.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

/** Those that this was tried with. */
static const char *const names[] = {"libjemalloc.so"};

struct module {
	uintptr_t base;
	const Elf64_Sym *symbols;
	const char *strings;
	/** What the loader made read-only once it was done. */
	uintptr_t sealed;
	size_t sealed_bytes;
};

bool preload_is_allocator(const char *path)
{
	const char *const slash = strrchr(path, '/');
	const char *const file = slash != NULL ? slash + 1 : path;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(file, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/** The C library's, for a function that this library has a place of; NULL for others. */
static void *find_real(const char *name)
{
	void *const bound = dlsym(RTLD_DEFAULT, name);
	Dl_info about, own;

	if (bound == NULL || dladdr(bound, &about) == 0 ||
	    dladdr((void *)(uintptr_t)find_real, &own) == 0 || about.dli_fbase != own.dli_fbase)
		return NULL;
	return preload_find(name);
}

static bool names_function(Elf64_Xword info)
{
	switch (ELF64_R_TYPE(info)) {
	case R_X86_64_JUMP_SLOT:
	case R_X86_64_GLOB_DAT:
	case R_AARCH64_JUMP_SLOT:
	case R_AARCH64_GLOB_DAT:
		return true;
	default:
		return false;
	}
}

static void rebind(const struct module *module, const Elf64_Rela *entries, size_t bytes)
{
	for (size_t i = 0; entries != NULL && i < bytes / sizeof(*entries); i++) {
		const Elf64_Sym *const symbol = &module->symbols[ELF64_R_SYM(entries[i].r_info)];
		void *function = NULL;

		if (names_function(entries[i].r_info))
			function = find_real(module->strings + symbol->st_name);
		if (function != NULL)
			*(void **)(module->base + entries[i].r_offset) = function;
	}
}

/** The loader has made addresses of what is in this table. */
static void rebind_all(struct module *module, const Elf64_Dyn *entry)
{
	const Elf64_Rela *calls = NULL, *data = NULL;
	size_t calls_bytes = 0, data_bytes = 0;

	for (; entry->d_tag != DT_NULL; entry++) {
		const uintptr_t value = entry->d_un.d_ptr;

		if (entry->d_tag == DT_SYMTAB)
			module->symbols = (const Elf64_Sym *)value;
		else if (entry->d_tag == DT_STRTAB)
			module->strings = (const char *)value;
		else if (entry->d_tag == DT_JMPREL)
			calls = (const Elf64_Rela *)value;
		else if (entry->d_tag == DT_PLTRELSZ)
			calls_bytes = value;
		else if (entry->d_tag == DT_RELA)
			data = (const Elf64_Rela *)value;
		else if (entry->d_tag == DT_RELASZ)
			data_bytes = value;
	}
	rebind(module, calls, calls_bytes);
	rebind(module, data, data_bytes);
}

static void find_sealed(struct module *module, const struct dl_phdr_info *info)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *const header = &info->dlpi_phdr[i];
		const uintptr_t start = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_GNU_RELRO)
			continue;
		module->sealed = start & ~(page - 1);
		module->sealed_bytes = ((start + header->p_memsz) & ~(page - 1)) - module->sealed;
	}
}

static int look_for_allocators(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct module module = {.base = info->dlpi_addr};

	(void)size;
	(void)unused;
	if (!preload_is_allocator(info->dlpi_name))
		return 0;
	find_sealed(&module, info);
	if (module.sealed_bytes != 0 &&
	    mprotect((void *)module.sealed, module.sealed_bytes, PROT_READ | PROT_WRITE) != 0)
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			rebind_all(&module, (const Elf64_Dyn *)(info->dlpi_addr +
								info->dlpi_phdr[i].p_vaddr));
	if (module.sealed_bytes != 0)
		mprotect((void *)module.sealed, module.sealed_bytes, PROT_READ);
	return 0;
}

void preload_spare_allocators(void)
{
	dl_iterate_phdr(look_for_allocators, NULL);
}
