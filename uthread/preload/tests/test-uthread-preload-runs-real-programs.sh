#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs that depend on threads give the same output and status with the preload and without.
# Those that are not installed are left out, and named.
#
# usage: test-uthread-preload-runs-real-programs.sh UTHREAD
set -u
uthread=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d /tmp/uthread-programs-XXXXXX)
server=
trap '[[ -z $server ]] || kill -9 "$server"; rm -rf "$dir"' EXIT
ran=0

fail()
{
	echo "FAILED: $*"
	cat "$dir"/*.err 2>/dev/null
	exit 1
}

has()
{
	command -v "$1" >/dev/null && return 0
	echo "left out: $1 is not here"
	return 1
}

# same COMMAND...: output and status of both ways; and it was carried.
same()
{
	local real=0 carried=0
	timeout -k 5 60 "$@" >"$dir/real" 2>"$dir/real.err" || real=$?
	timeout -k 5 60 "$uthread" run --report "$@" >"$dir/carried" 2>"$dir/carried.err" || carried=$?
	[[ $real == "$carried" ]] || fail "$*: status $carried rather than $real"
	cmp "$dir/real" "$dir/carried" || fail "$*: another output"
	grep -q 'carried on 1 workers' "$dir/carried.err" || fail "$* was not carried"
	ran=$((ran + 1))
	echo "$*: the same, $(sed -n 's/.* \([0-9]* userland threads\).*/\1/p' "$dir/carried.err")"
}

head -c 2000000 /dev/urandom | base64 >"$dir/data"
if has pigz; then
	same pigz -p 4 -c "$dir/data"
	pigz -c "$dir/data" >"$dir/data.gz"
	same pigz -p 3 -dc "$dir/data.gz"
fi
if has pbzip2; then
	same pbzip2 -p4 -c "$dir/data"
	pbzip2 -c "$dir/data" >"$dir/data.bz2"
	same pbzip2 -p4 -dc "$dir/data.bz2"
fi
# The system's own: another may have been built with thread-local variables.
python=/usr/bin/python3
if has $python; then
	same $python "$here/threads.py"
fi
if has memcached && has python3; then
	chmod 777 "$dir"
	"$uthread" run --report memcached -u nobody -s "$dir/socket" -t 4 2>"$dir/server.err" &
	server=$!
	timeout 30 python3 "$here/memcached.py" "$dir/socket" || fail 'memcached answers wrongly'
	kill -TERM "$server"
	wait "$server" || fail "memcached ended with status $?"
	server=
	grep -q 'carried on 1 workers' "$dir/server.err" || fail 'memcached was not carried'
	ran=$((ran + 1))
	echo 'memcached serves 4 clients at once, and ends when told to'
fi
if has redis-server && has redis-benchmark && has redis-cli; then
	"$uthread" run --report redis-server --port 0 --unixsocket "$dir/redis" --save '' --dir "$dir" \
		>"$dir/redis.out" 2>"$dir/server.err" &
	server=$!
	for ((i = 0; i < 100; i++)); do
		[[ $(redis-cli -s "$dir/redis" ping 2>/dev/null) != PONG ]] || break
		sleep 0.1
	done
	timeout 60 "$uthread" run --report redis-benchmark -s "$dir/redis" -q -n 4000 -c 20 --threads 3 -t set,incr \
		>"$dir/benchmark" 2>"$dir/benchmark.err" || fail "redis-benchmark: status $?"
	grep -q 'carried on 1 workers' "$dir/benchmark.err" || fail 'redis-benchmark was not carried'
	# It counts to as many as it was told, with 20 clients at once.
	[[ $(redis-cli -s "$dir/redis" get counter:__rand_int__) == 4000 ]] || fail 'redis counted wrongly'
	redis-cli -s "$dir/redis" shutdown nosave 2>/dev/null
	wait "$server" || fail "redis-server ended with status $?"
	server=
	grep -q 'carried on 1 workers' "$dir/server.err" || fail 'redis-server was not carried'
	ran=$((ran + 1))
	echo "redis-server serves 20 clients of 3 threads, and ends when told to"
fi
((ran)) || {
	echo 'SKIP: none of the programs is here'
	exit 77
}
