#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A driver that never completes a request can be killed also when its device is being ended, in good
# order or while it starts; whoever waited for the request gets an error, and the device can be removed.
#
# guest: cpus=2 mem=768 timeout=120
. "$(dirname "$0")/lib.sh"
need_ublk
need cc

include=$(dirname "$0")/../../include
cat >"$work/hung.c" <<'C'
#include <bdus/driver.h>
#include <string.h>

static const struct bdus_option options[] = {
	{.key = "reads", .kind = BDUS_OPTION_BOOL, .fallback = "no", .help = "hang on reads, too"},
	{.key = NULL},
};
static _Bool reads_hang;

static int hung_open(const struct bdus_config *config, struct bdus_device_attrs *attrs, void **instance)
{
	(void)instance;
	reads_hang = bdus_config_bool(config, "reads");
	attrs->size_bytes = 1 << 24;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE);
	return 0;
}

static void hung_submit(void *instance, struct bdus_request *request)
{
	(void)instance;
	if (request->op != BDUS_OP_READ || reads_hang)
		return;
	memset(request->data, 0, request->length_bytes);
	bdus_complete(request, 0);
}

static const struct bdus_driver hung = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(hung),
	.name = "hung",
	.summary = "completes no write",
	.options = options,
	.open = hung_open,
	.submit = hung_submit,
};

BDUS_DRIVER_EXPORT(hung)
C
must cc -shared -fPIC -I"$include" -o "$work/hung.so" "$work/hung.c"

gone() # PID
{
	! kill -0 "$1" 2>/dev/null
}

exists() # PREFIX
{
	compgen -G "$1*" >/dev/null
}

gone_all() # PREFIX
{
	! exists "$1"
}

must_die() # PID
{
	must kill -9 "$1"
	wait_until 30 gone "$1" || fail "process $1 survives: $(head -n 3 "/proc/$1/status")"
}

step 'killed while it stops'
bdus_run --transport ublk "$work/hung.so" || fail 'no device'
server=$(servers)
dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct status=none 2>"$work/dd" &
writer=$!
sleep 0.5
kill -0 "$writer" || fail 'the write did not hang'
must kill -TERM "$server"
sleep 1
kill -0 "$server" || fail 'the driver ended though it holds a request'
must_die "$server"
wait_until 30 gone "$writer" || fail 'the writer hangs'
wait "$writer" && fail 'the writer noticed nothing'
must "$BDUS" destroy --no-flush "$device"
nothing_left || fail "see above"

step 'killed while the kernel may read a partition table'
"$BDUS" run -q -f --transport ublk "$work/hung.so" reads=yes >"$work/run" 2>&1 &
server=$!
at_exit kill -9 "$server"
wait_until 20 exists /dev/ublkc || fail 'no device'
sleep 1
must_die "$server"
wait_until 30 gone_all /dev/ublkb || fail 'the disk is still there'
must "$BDUS" destroy --all --no-flush
