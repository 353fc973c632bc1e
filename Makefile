# SPDX-License-Identifier: MIT
# Short names for what scripts/ does. Meson builds; see README.md.
.PHONY: build check demo setup

build:
	@scripts/setup build
	@scripts/build

check:
	@scripts/check

demo:
	@scripts/demo

setup:
	@scripts/setup all
