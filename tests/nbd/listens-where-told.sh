#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Unix sockets with and without a path, TCP, sockets from a service manager; what cannot be is refused by
# name before anything is touched; export names work in URIs.
. "$(dirname "$0")/lib.sh"
need nbdinfo

try()
{
	timeout 20 "$BDUS" run -f -t "$1" null size=1M
}

step 'a Unix socket in the runtime directory'
serve_at nbd null size=1M
[[ $uri == "nbd+unix:///?socket=$BDUS_RUNTIME_DIR/"*.nbd ]] || fail "the URI is $uri"
file=${uri#*socket=}
[[ $(stat -c %a "$file") == 600 ]] || fail "its mode is $(stat -c %a "$file")"
[[ $(nbdinfo --size "$uri") == 1048576 ]] || fail 'another size'
stop

step 'a path, a mode, a name and a description of one'\''s own'
serve_at "nbd,socket=$dir/a b,mode=0666,export=my disk/1,description=Mine" null size=1M
[[ $uri == "nbd+unix:///my%20disk/1?socket=$dir/a%20b" ]] || fail "the URI is $uri"
[[ $(stat -c %a "$dir/a b") == 666 ]] || fail 'another mode'
[[ $(nbdinfo --size "$uri") == 1048576 ]] || fail 'not found by its name'
nbdinfo "$uri" | grep -q 'description: Mine' || fail 'another description'
[[ $(nbdinfo --size "nbd+unix:///?socket=$dir/a%20b") == 1048576 ]] || fail 'not the default export'
refused 'no export named' nbdcopy "nbd+unix:///other?socket=$dir/a%20b" null:

step 'a socket in use is refused, and goes on working'
refused "another server is listening on $dir/a b" try "nbd,socket=$dir/a b"
[[ $(nbdinfo --size "$uri") == 1048576 ]] || fail 'the first server was disturbed'
stop
[[ ! -e $dir/a\ b ]] || fail 'the socket file was left behind'

step 'the socket of a server that was killed is replaced'
serve null size=1M
kill -9 "$server"
wait "$server" 2>/dev/null
[[ -S $socket ]] || fail 'no socket to replace'
server=
rm -rf "$BDUS_RUNTIME_DIR"
serve null size=2M
[[ $(nbdinfo --size "$uri") == 2097152 ]] || fail 'another size'
stop

step 'refusals'
echo content >"$dir/file"
refused 'is not a socket' try "nbd,socket=$dir/file"
[[ $(<"$dir/file") == content ]] || fail 'a file was overwritten'
refused 'No such file or directory' try "nbd,socket=$dir/no/where"
refused 'at most 107 bytes' try "nbd,socket=$dir/$(printf '%0110d' 0)"
refused 'not an octal number' try "nbd,socket=$dir/x,mode=9"
refused 'one kind only' try "nbd,socket=$dir/x,port=1"
refused 'port' try nbd,port=65536
refused 'max-connections' try nbd,max-connections=0
refused 'cannot find the address of host' try nbd,host=no.such.host.invalid,port=0
[[ -z $(find "$dir" -name x) ]] || fail 'a refused server left a socket'

step 'TCP, on the loopback unless told otherwise'
serve_at nbd,port=0 null size=1M
[[ $uri == nbd://127.0.0.1:*/ ]] || fail "the URI is $uri"
[[ $(nbdinfo --size "$uri") == 1048576 ]] || fail 'not reached'
port=${uri##*:}
refused 'Address already in use' try "nbd,port=${port%/}"
stop
if grep -qs '^0\{31\}1 ' /proc/net/if_inet6; then
	serve_at nbd,host=::1,port=0,export=six null size=1M
	[[ $uri == 'nbd://[::1]:'*/six ]] || fail "the URI is $uri"
	[[ $(nbdinfo --size "$uri") == 1048576 ]] || fail 'not reached over IPv6'
	stop
else
	echo 'no IPv6 here; left out'
fi

step 'sockets from a service manager'
if command -v systemd-socket-activate >/dev/null; then
	systemd-socket-activate -l "$dir/activated" -E BDUS_RUNTIME_DIR="$BDUS_RUNTIME_DIR" \
		"$BDUS" run -f -t nbd null size=3M >"$dir/stdout" 2>"$dir/stderr" &
	server=$!
	wait_until 10 test -S "$dir/activated" || fail 'systemd-socket-activate does not listen'
	[[ $(timeout 20 nbdinfo --size "nbd+unix:///?socket=$dir/activated") == 3145728 ]] ||
		fail "not served: $(cat "$dir/stderr")"
	[[ $(head -n 1 "$dir/stdout") == "nbd+unix:///?socket=$dir/activated" ]] ||
		fail "the URI is $(cat "$dir/stdout")"
	stop
	[[ -S $dir/activated ]] || fail 'the socket of the service manager was removed'
else
	echo 'no systemd-socket-activate here; left out'
fi
