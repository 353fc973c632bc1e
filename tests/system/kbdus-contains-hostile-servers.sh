#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 timeout=90
# Servers of kbdus that answer wrongly, scribble over the rings, call anything with anything and are
# killed at any time do no harm to the kernel, and leave nothing behind.
. "$(dirname "$0")/lib.sh"
need_kbdus
hostile=$BDUS_BUILD/tests/system/kbdus-hostile

step 'cases'
must timeout 60 "$hostile" cases
seconds=15
is_slow && seconds=40
step 'random servers'
must timeout 120 "$hostile" fuzz "${BDUS_SEED:-1}" "${BDUS_FUZZ_SECONDS:-$seconds}"
step 'unloading'
must rmmod kbdus
dmesg | grep -E 'WARNING|BUG|Oops|kbdus.*[Ee]rror' && fail 'the kernel complained'
must insmod "$BDUS_KBDUS"
