#!/bin/sh
# SPDX-License-Identifier: MIT
# bdus stats counts what a client did, as text, as JSON and for Prometheus; bdus top shows it in a terminal.
. "$(dirname "$0")/lib.sh"

command -v nbdcopy >/dev/null || skip "nbdcopy is not installed"
expect 0 "$BDUS" run ram size=4M --transport "$(nbd s)"
uri=$(cat "$tmp/out")
head -c 4194304 /dev/urandom >"$tmp/data"
nbdcopy --connections=1 --request-size=65536 "$tmp/data" "$uri"
nbdcopy --connections=1 --request-size=65536 "$uri" "$tmp/back"
cmp "$tmp/data" "$tmp/back" || fail "the disk is another one"

expect 0 "$BDUS" stats "$uri"
says out "$uri" OPERATION P99.9 read write '4 MiB' 'in flight'
[ "$(awk '{ if (length($0) > most) most = length($0) } END { print most }' "$tmp/out")" -le 80 ] ||
	fail "wider than 80 columns"
expect 3 "$BDUS" stats --json 987654321 "$uri"
python3 "$tests/check-json.py" stats "$tmp/out" '(
	d["devices"][0]["operations"]["write"]["bytes"] == 4 << 20 and
	d["devices"][0]["operations"]["write"]["errors"] == 0 and
	d["devices"][0]["operations"]["read"]["operations"] >= 64 and
	d["devices"][0]["operations"]["read"]["timed"] > 0 and
	0 < d["devices"][0]["operations"]["read"]["latency_ns"]["p50"]
		<= d["devices"][0]["operations"]["read"]["latency_ns"]["p999"] and
	d["errors"][0]["device"] == "987654321")' || fail "the document of bdus stats --json"

# To Prometheus, on a socket.
"$BDUS" stats --metrics "$tmp/metrics" &
server=$!
eventually test -S "$tmp/metrics"
[ "$(stat -c %a "$tmp/metrics")" = 600 ] || fail "others can ask"
cat >"$tmp/scrape.py" <<'END'
import socket, sys
def ask(text):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(sys.argv[1])
    s.sendall(text)
    answer = b""
    while more := s.recv(65536):
        answer += more
    return answer.decode()
silent = socket.socket(socket.AF_UNIX)
silent.connect(sys.argv[1])
head, body = ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").split("\r\n\r\n", 1)
assert head.startswith("HTTP/1.1 200 "), head
assert f"Content-Length: {len(body)}" in head, head
values, buckets = {}, {}
for line in body.splitlines():
    if line.startswith("#"):
        continue
    name, value = line.rsplit(" ", 1)
    assert name not in values, f"{name} stands twice"
    values[name] = float(value)
labels = [n[len("bdus_bytes_total"):] for n in values if n.startswith("bdus_bytes_total")]
write = [n for n in labels if 'op="write"' in n]
assert len(write) == 1 and values["bdus_bytes_total" + write[0]] == 4 << 20, values
counts = [v for n, v in values.items() if n.startswith("bdus_request_duration_seconds_bucket") and 'op="write"' in n]
assert counts == sorted(counts) and counts[-1] > 0, counts
assert any(n.startswith("bdus_in_flight{") for n in values), values
assert ask(b"GET /else HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 404 ")
END
python3 "$tmp/scrape.py" "$tmp/metrics" || fail "metrics"
kill -TERM "$server"
wait "$server" || fail "stats --metrics ended with status $?"
[ ! -e "$tmp/metrics" ] || fail "the socket was left behind"
expect 2 "$BDUS" stats --metrics 0.0.0.0:80
says err 127.0.0.1
expect 1 "$BDUS" stats --metrics 70000

# In a terminal.
expect 2 "$BDUS" top
says err terminal
if command -v script >/dev/null; then
	TERM=vt100 script -qec "stty cols 120; '$BDUS' top -n 2 -d 0.1" /dev/null >"$tmp/screen" </dev/null ||
		fail "top ended with status $?"
	for word in READ/S ram; do
		grep -q "$word" "$tmp/screen" || fail "top shows $(cat "$tmp/screen")"
	done
fi
expect 0 "$BDUS" destroy "$uri"

# Each filter of a stack has a row of its own.
expect 0 "$BDUS" run ram size=4M --filter delay:read=2ms --filter error:error=EIO,operations=write \
	--transport "$(nbd s)"
uri=$(cat "$tmp/out")
nbdcopy --no-extents --connections=1 --requests=1 --request-size=1048576 "$uri" "$tmp/back"
nbdcopy --connections=1 --requests=1 --request-size=1048576 "$tmp/data" "$uri" 2>/dev/null && fail "writes succeed"
expect 0 "$BDUS" stats "$uri"
says out FILTER ENDED '0 delay' '1 error'
expect 0 "$BDUS" stats --json "$uri"
python3 "$tests/check-json.py" stats "$tmp/out" '(
	[f["name"] for f in d["devices"][0]["filters"]] == ["delay", "error"] and
	d["devices"][0]["filters"][0]["operations"] == d["devices"][0]["filters"][1]["operations"]
		>= d["devices"][0]["operations"]["read"]["operations"] >= 4 and
	d["devices"][0]["filters"][0]["errors"] == 0 and
	d["devices"][0]["filters"][1]["errors"] == d["devices"][0]["filters"][1]["completed"]
		== d["devices"][0]["operations"]["write"]["errors"] > 0 and
	d["devices"][0]["filters"][0]["latency_ns"]["p90"] >= 1000000
		> d["devices"][0]["filters"][1]["latency_ns"]["p50"])' || fail "filters: $(cat "$tmp/out")"
"$BDUS" stats --metrics "$tmp/metrics" &
server=$!
eventually test -S "$tmp/metrics"
python3 - "$tmp/metrics" <<'END' || fail "metrics of filters"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
answer = b""
while more := s.recv(65536):
    answer += more
values = [l.rsplit(" ", 1) for l in answer.decode().splitlines() if l.startswith("bdus_filter_")]
errors = {n: int(v) for n, v in values if n.startswith("bdus_filter_errors_total{")}
assert [v for n, v in errors.items() if 'place="0",filter="delay"' in n] == [0], values
assert [v > 0 for n, v in errors.items() if 'place="1",filter="error"' in n] == [True], values
held = [float(v) for n, v in values if n.startswith("bdus_filter_held_seconds_sum{") and '"delay"' in n]
assert len(held) == 1 and held[0] > 0.001, values
END
kill -TERM "$server"
wait "$server"
if command -v script >/dev/null; then
	TERM=vt100 script -qec "stty cols 120; '$BDUS' top -n 2 -d 0.1" /dev/null >"$tmp/screen" </dev/null
	for word in ram delay error; do
		grep -q "$word" "$tmp/screen" || fail "top shows $(cat "$tmp/screen")"
	done
fi
expect 0 "$BDUS" destroy "$uri"
expect_nothing_left s
