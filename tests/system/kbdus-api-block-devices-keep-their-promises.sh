#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: mem=768 timeout=90
# What bdus.h promises of block devices holds over kbdus.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/api-block-devices-keep-their-promises.sh
. "$(dirname "$0")/api-block-devices-keep-their-promises.sh"
