#!/bin/sh
# SPDX-License-Identifier: MIT
# The verifier, the interpreter and maps become part of a kernel module, by the Kbuild of a kernel's headers
# (those of OPVM_KERNEL, else of any kernel that is installed), without a warning and without a symbol that
# modules cannot have. The module must link; it is not loaded.
#
# usage: test-opvm-builds-as-part-of-a-kernel-module.sh SOURCE_ROOT SOURCE...
set -eu

root=$1
shift
find_kernel()
{
	for folder in ${OPVM_KERNEL:+"$OPVM_KERNEL"} "/lib/modules/$(uname -r)/build" \
		/lib/modules/*/build /usr/src/linux-headers-*; do
		[ -e "$folder/Module.symvers" ] && [ -e "$folder/include/config/auto.conf" ] || continue
		echo "$folder"
		return
	done
}
kernel=$(find_kernel)
if [ -z "$kernel" ] || ! command -v make >/dev/null; then
	echo 'SKIP: no kernel headers here: install linux-headers, or set OPVM_KERNEL'
	exit 77
fi
dir=$(mktemp -d /tmp/opvm-kernel-XXXXXX)
trap 'rm -rf "$dir"' EXIT

cp "$@" "$root"/opvm/*.h "$root"/opvm/kernel/* "$dir"
cat >"$dir/Kbuild" <<END
include \$(src)/Makefile.opvm
obj-m := opvm-check.o
opvm-check-y := module.o \$(opvm-objects)
ccflags-y := -I\$(src) -I$root/include -std=gnu11
END
cat >"$dir/module.c" <<END
#include "opvm.h"
#include <linux/module.h>

/* A reference to each part, so that all of it is linked. */
const void *const opvm_check_parts[] = {opvm_program_create, opvm_interpret, opvm_map_create};

MODULE_LICENSE("Dual MIT/GPL");
END
make -C "$kernel" M="$dir" modules >"$dir/log" 2>&1 || {
	cat "$dir/log"
	echo "FAILED: for $kernel"
	exit 1
}
if grep -iE 'warning|undefined' "$dir/log" || [ ! -s "$dir/opvm-check.ko" ]; then
	cat "$dir/log"
	echo 'FAILED: warnings, or no module'
	exit 1
fi
echo "linked for $kernel"
