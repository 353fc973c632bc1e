# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# For tests of the NBD way in that need no kernel: they serve a device on this machine, talk to it with
# clients, and look for what is left behind. To be sourced; $BDUS is the `bdus` command under test.
set -u -o pipefail

dir=$(mktemp -d "${TMPDIR:-/tmp}/bdus-nbd-XXXXXX")
export BDUS_RUNTIME_DIR=$dir/run
socket=$dir/s
uri="nbd+unix:///?socket=$socket"
server=

finish()
{
	local status=$? left
	trap - EXIT INT TERM
	[[ $status == 0 || -z $server ]] || sed 's/^/server: /' "$dir/stderr"
	# The server, and clients that would wait for ever.
	mapfile -t left < <(jobs -p)
	((${#left[@]} == 0)) || kill -9 "${left[@]}" 2>/dev/null
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail()
{
	echo "FAIL: $*"
	exit 1
}

step()
{
	echo "-- $*"
}

must()
{
	"$@" || fail "status $? from: $*"
}

# need TOOL...: skips the test where one of them is not installed.
need()
{
	local tool
	for tool; do
		command -v "$tool" >/dev/null || {
			echo "SKIP: no $tool here"
			exit 77
		}
	done
}

# wait_until SECONDS COMMAND...: succeeds once the command does.
wait_until()
{
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < deadline)) || return 1
		sleep 0.02
	done
}

_answers()
{
	kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$dir/stderr")"
	[[ -s $dir/stdout ]]
}

# serve_at TRANSPORT ARGUMENT...: `bdus run ARGUMENT...` over that way in; its URI is in $uri.
serve_at()
{
	local transport=$1
	shift
	: >"$dir/stdout"
	"$BDUS" run -f -t "$transport" "$@" >"$dir/stdout" 2>"$dir/stderr" &
	server=$!
	wait_until 20 _answers || fail "not available after 20 s: bdus run $*"
	uri=$(head -n 1 "$dir/stdout")
}

# serve ARGUMENT...: the same over a Unix socket at $socket.
serve()
{
	serve_at "nbd,socket=$socket${nbd_options:+,$nbd_options}" "$@"
}

_ended()
{
	! kill -0 "$server" 2>/dev/null
}

# stop: ends the server, which must be orderly, quick and complete.
stop()
{
	kill -TERM "$server"
	wait_until "${1:-10}" _ended || fail 'the server does not stop'
	wait "$server" || fail "the server ended with status $?: $(cat "$dir/stderr")"
	server=
	[[ ! -e $socket ]] || fail 'the socket file was left behind'
	[[ -z $(find "$BDUS_RUNTIME_DIR" -mindepth 1 ! -name next-id) ]] ||
		fail "left behind: $(ls "$BDUS_RUNTIME_DIR")"
}

# refused PATTERN COMMAND...: fails with a message that matches.
refused()
{
	local pattern=$1 message
	shift
	message=$("$@" 2>&1) && fail "succeeded, but should not have: $*"
	[[ $message =~ $pattern ]] || fail "no word of \"$pattern\" in: $message"
}

descriptors()
{
	find "/proc/$server/fd" -mindepth 1 2>/dev/null | wc -l
}

resident_kib()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$server/status"
}
