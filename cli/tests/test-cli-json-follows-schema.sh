#!/bin/sh
# SPDX-License-Identifier: MIT
# Every --json prints exactly one document, as documented; errors are in it where bdus(1) says so.
. "$(dirname "$0")/lib.sh"

json()
{
	kind=$1
	shift
	expect "$@"
	python3 "$tests/check-json.py" "$kind" "$tmp/out" || fail "schema of: $*"
}

# value EXPRESSION: what it gives for the last document d.
value()
{
	python3 -c "import json; d = json.load(open('$tmp/out')); print($1)"
}

json list 0 "$BDUS" list --json
[ "$(value 'd["devices"]')" = "[]" ] || fail "devices before the first"
json run 0 "$BDUS" run ram size=16M --json --transport "$(nbd s)"
[ "$(value 'd["size_bytes"]')" = 16777216 ] || fail "wrong size"
[ "$(value 'd["major"]')" = None ] || fail "an NBD export has a device number"
uri=$(value 'd["path"]')
json run 0 "$BDUS" run "$BDUS_SLOW_DRIVER" --read-only -q --json --transport "$(nbd t)"
[ "$(value 'd["read_only"], "read-only" in d["flags"]')" = "True True" ] || fail "not read-only"
json list 0 "$BDUS" list --json
[ "$(value 'len(d["devices"])')" = 2 ] || fail "not two devices"
json info 0 "$BDUS" info --json "$uri"
[ "$(value 'd["devices"][0]["path"]')" = "$uri" ] || fail "info of another device"
json info 3 "$BDUS" info --json 987654321 "$uri"
[ "$(value 'len(d["devices"]), d["errors"][0]["device"], d["errors"][0]["status"]')" = \
	"1 987654321 3" ] || fail "the error is not in the document"
json check 0 "$BDUS" check --json
[ "$(value '[t["usable"] for t in d["transports"] if t["name"] == "nbd"]')" = "[True]" ] ||
	fail "NBD does not work here"
json check 0 "$BDUS" check nbd --json
json drivers 0 "$BDUS" drivers --json
[ "$(value 'sorted(x["name"] for x in d["drivers"])')" = "['file', 'null', 'ram']" ] ||
	fail "not the built-in drivers"
json drivers 0 "$BDUS" drivers --json "$BDUS_SLOW_DRIVER"
[ "$(value '[o["choices"] for o in d["drivers"][0]["options"] if o["kind"] == "choice"]')" = \
	"[['red', 'green', 'blue']]" ] || fail "choices are wrong"
json version 0 "$BDUS" version --json
