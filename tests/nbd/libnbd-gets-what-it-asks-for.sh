#!/bin/bash
# SPDX-License-Identifier: MIT
#
# libnbd finds every part of the protocol: over a Unix socket and TCP, with one queue and with three.
. "$(dirname "$0")/lib.sh"

step 'over a Unix socket'
serve ram size=64M
must timeout 60 "$LIBNBD_CLIENT" "$uri"
stop

step 'over TCP'
serve_at nbd,port=0 ram size=64M
[[ $uri == nbd://127.0.0.1:* ]] || fail "the URI is $uri"
must timeout 60 "$LIBNBD_CLIENT" "$uri"
stop

step 'with three queues, of which each serves some of the connections'
serve ram size=64M --queues 3
must timeout 60 "$LIBNBD_CLIENT" "$uri"
stop
