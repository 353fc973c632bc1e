#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-caps-command-talks-to-services.sh CAPS STORE
#
# The `caps` command against a service by generated code: lists it, describes it, calls it with JSON,
# stands before it, measures it; and says what is wrong.
set -u
caps=$1
store=$2
work=$(mktemp -d)
export XDG_RUNTIME_DIR=$work
"$store" org.example.store &
server=$!
"$store" rude.store rude &
rude=$!
trap 'kill $server $rude $monitor 2>/dev/null; rm -rf "$work"' EXIT
monitor=

fail()
{
	echo "FAILED: $1"
	exit 1
}

# gives CODE TEXT COMMAND...: exit code, and text somewhere in the output.
gives()
{
	local code=$1 text=$2 output
	shift 2
	output=$("$@" 2>&1)
	local got=$?
	((got == code)) || fail "exit code $got, not $code: $*: $output"
	[[ $output == *"$text"* ]] || fail "no '$text' in: $*: $output"
}

name=org.example.store
gives 0 '(1): Gives the value of a key.' "$caps" describe $name
gives 0 "$server" "$caps" list
gives 0 'rude?[31m (1): one?two?2J?' "$caps" describe rude.store
"$caps" describe rude.store | LC_ALL=C grep -q $'[\x01-\x09\x0b-\x1f\x7f]\|\xc2[\x80-\x9f]' &&
	fail "a service drives the terminal"
gives 1 "no operation '?[2J'" "$caps" call rude.store $'\e[2J'
gives 0 '"name": "org.example.store"' "$caps" list --json
gives 0 'NO_SUCH_KEY=1' "$caps" describe $name
gives 0 '"reply_fds": 1' "$caps" describe --json $name

gives 1 'NO_SUCH_KEY (1)' "$caps" call $name get '{"name": "key"}'
gives 0 '"version": 1' "$caps" call $name set '{"options": "SYNC|DURABLE", "name": "key", "content": "00ff41"}'
gives 0 '"content": "00ff41"' "$caps" call $name get '{"name": "key"}'
echo '{"name": "key"}' >"$work/request"
gives 0 '"content": "00ff41"' bash -c "'$caps' call $name get - <'$work/request'"
gives 0 '"y": 258' "$caps" call $name state
gives 0 '"paint": "GREEN"' "$caps" call $name state
gives 0 '"level": 42' "$caps" call $name state
gives 0 '"title": "the store"' "$caps" call $name state
gives 0 '{}' "$caps" call $name clear
gives 0 '1 descriptors came' bash -c "'$caps' call $name set '{\"options\":0,\"name\":\"k\",\"content\":\"\"}' && '$caps' call $name open '{\"name\":\"k\"}'"
gives 0 '{}' "$caps" call --fd 1 --fd 1 $name files

# What comes out of one call goes into another one unchanged.
state=$("$caps" call $name state) || fail 'state'
gives 0 "$state" "$caps" call $name mirror "$state"
odd='{"keys": "18446744073709551615", "busy": 1, "level": 127, "paint": 77, "title": "", "corners": [{"x": -32768, "y": 65535}, {"x": 1, "y": 2}], "raw": "deadbeef"}'
gives 1 'Bad message' "$caps" call $name mirror "$odd"
odd=${odd/77/1}
gives 0 '"18446744073709551615"' "$caps" call $name mirror "$odd"
gives 0 '"x": -32768' "$caps" call $name mirror "$odd"

gives 1 'Function not implemented' "$caps" call $name later
gives 1 "no operation 'nothing'" "$caps" call $name nothing
gives 1 "'name' is to be text" "$caps" call $name get '{}'
gives 1 "no member 'nam'" "$caps" call $name get '{"nam": "key"}'
gives 1 'is not JSON' "$caps" call $name get '{'
gives 1 "'files' takes 2 descriptors" "$caps" call $name files
gives 1 "'options' is to be a number or a name" "$caps" call $name set '{"options": "SINK", "name": "k", "content": ""}'
gives 1 "'options' does not fit 2 bytes" "$caps" call $name set '{"options": 65536, "name": "k", "content": ""}'
gives 1 'hexadecimal' "$caps" call $name set '{"options": 0, "name": "k", "content": "zz"}'
gives 1 "no service 'nobody'" "$caps" call --timeout 20 nobody get
gives 1 'the name' "$caps" describe 'a/b'
gives 2 'usage' "$caps" call $name
gives 2 'usage' "$caps" nonsense
gives 2 '' "$caps" list --nonsense
gives 0 'monitor' "$caps" --help
gives 0 '200 calls' "$caps" bench --count 200 $name get '{"name": "k"}'
gives 0 '"median_us"' "$caps" bench --json --count 200 $name clear

"$caps" monitor --count 2 $name >"$work/seen" 2>"$work/monitor" &
monitor=$!
for ((i = 0; i < 100; i++)); do
	grep -qs standing "$work/monitor" && break
	sleep 0.05
done
gives 0 '"version": 3' "$caps" call $name set '{"options": 0, "name": "key", "content": "41"}'
gives 1 'NO_SUCH_KEY' "$caps" call $name get '{"name": "other"}'
wait $monitor
monitor=
grep -q '"request":"set".*"body":{.*"content":"41"' "$work/seen" || fail "the monitor saw no request"
grep -q '"reply":"set".*"body":{"version":3}' "$work/seen" || fail "the monitor saw no reply"
grep -q '"reply":"get".*"error":"NO_SUCH_KEY"' "$work/seen" || fail "the monitor saw no error"
gives 0 '"content": "41"' "$caps" call $name get '{"name": "key"}'
echo "all as it should be"
