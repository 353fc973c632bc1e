#!/bin/sh
# SPDX-License-Identifier: MIT
# Every --json prints exactly one document, as documented; errors are in it where bdus(1) says so.
. "$(dirname "$0")/lib.sh"

# json KIND ASSERTION STATUS COMMAND…: the command's document d follows the schema, and the
# assertion is true of it.
json()
{
	kind=$1
	assertion=$2
	shift 2
	expect "$@"
	python3 "$tests/check-json.py" "$kind" "$tmp/out" "$assertion" || fail "document of: $*"
}

json list 'd["devices"] == []' 0 "$BDUS" list --json
json run 'd["size_bytes"] == 16 << 20 and d["major"] is None and d["pid"] > 1' \
	0 "$BDUS" run ram size=16M --json --transport "$(nbd s)"
json run 'd["read_only"] and "read-only" in d["flags"] and "write" not in d["operations"]' \
	0 "$BDUS" run "$BDUS_SLOW_DRIVER" --read-only -q --json --transport "$(nbd t)"
silent err
json list '[x["driver"] for x in d["devices"]] == ["ram", "slow"]' 0 "$BDUS" list --json
uri=$("$BDUS" list | awk 'NR == 2 {print $NF}')
json info "[x['path'] for x in d['devices']] == ['$uri']" 0 "$BDUS" info --json "$uri"
id=$("$BDUS" list | awk 'NR == 2 {print $1}')
json info 'len(d["devices"]) == 1' 0 "$BDUS" info --json "$id" "$uri" "$id"
json info "[(x['device'], x['status']) for x in d['errors']] == [('987654321', 3)] \
		and [x['path'] for x in d['devices']] == ['$uri']" \
	3 "$BDUS" info --json 987654321 "$uri"
says err 987654321
json check '[x["usable"] for x in d["transports"] if x["name"] == "nbd"] == [True]' \
	0 "$BDUS" check --json
json check '[x["name"] for x in d["transports"]] == ["nbd"]' 0 "$BDUS" check nbd --json
json drivers 'sorted(x["name"] for x in d["drivers"]) == ["file", "null", "ram", "zoned"]' \
	0 "$BDUS" drivers --json
json drivers '["red", "green", "blue"] in [o["choices"] for o in d["drivers"][0]["options"]]' \
	0 "$BDUS" drivers --json "$BDUS_SLOW_DRIVER"
json filters '"delay" in [x["name"] for x in d["filters"]]' 0 "$BDUS" filters --json
json version 'd["version"] and d["driver_abi"] >= 1' 0 "$BDUS" version --json
