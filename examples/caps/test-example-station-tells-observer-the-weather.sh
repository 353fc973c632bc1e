#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-example-station-tells-observer-the-weather.sh STATION OBSERVER
set -u
XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR
"$1" >"$XDG_RUNTIME_DIR/log" &
trap 'kill %1; rm -rf "$XDG_RUNTIME_DIR"' EXIT
[[ $("$2" Lisbon) == "21.4 degrees, 1019 hPa" ]] || exit 1
"$2" Atlantis && exit 1
grep -q "of user $(id -u) asks for Atlantis" "$XDG_RUNTIME_DIR/log"
