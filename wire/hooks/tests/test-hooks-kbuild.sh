#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptions in a kernel module, built by the Kbuild of a kernel's headers: those of WIRE_KERNEL, else
# of any kernel that is installed. The module must link; it is not loaded.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

find_kernel()
{
	local folder
	for folder in ${WIRE_KERNEL:+"$WIRE_KERNEL"} "/lib/modules/$(uname -r)/build" \
		/lib/modules/*/build /usr/src/linux-headers-*; do
		[[ -e $folder/Module.symvers && -e $folder/include/config/auto.conf ]] || continue
		echo "$folder"
		return
	done
	return 1
}

kernel=$(find_kernel) || skip 'no kernel headers here: install linux-headers, or set WIRE_KERNEL'
needs make
copy_project
echo "kernel: $kernel"

build()
{
	make -C "$kernel" M="$project" -j8 WIRE_HOOKS="$WIRE_HOOKS" WIREC="$work/wirec" \
		WIRE_INCLUDE_DIR="${WIRE_CFLAGS#-I}" WIRE_RUNTIME_DIR="$WIRE_RUNTIME_DIR" modules
}

run_result()
{
	[[ -s $project/wire-example.ko ]] || fail 'no module was made'
	! grep -iE 'warning' "$work/log" || fail 'warnings'
}

disk_objects='/disk\.o$' journal_objects='/journal[^/]*\.o$'
hook_story
second_run_does_nothing
lost_output_comes_back
second_run_does_nothing
