#!/bin/sh
# SPDX-License-Identifier: MIT
# Whatever is not understood is named, with what is allowed and the nearest word, with status 2,
# before any device exists.
. "$(dirname "$0")/lib.sh"

expect 2 "$BDUS"
says err "bdus help"
expect 2 "$BDUS" lst
says err '"lst"' 'did you mean "list"' destroy drivers version
expect 2 "$BDUS" help lst
expect 2 "$BDUS" list --jsn
says err '"--jsn"' 'did you mean "--json"' --json --help
expect 2 "$BDUS" list -x
says err '"-x"' --json
expect 2 "$BDUS" list extra
says err '"extra"'
expect 2 "$BDUS" list --json=yes
says err "takes no argument" '"yes"'
expect 2 "$BDUS" list -- --json
says err '"--json"'
expect 2 "$BDUS" check ndb
says err '"ndb"' 'did you mean "nbd"'
expect 2 "$BDUS" info
expect 2 "$BDUS" destroy
expect 2 "$BDUS" destroy --all 3
expect 2 "$BDUS" flush --timeout
says err "--timeout needs an argument"
for seconds in 0 -1 1x "" 1.2345 99999999999999999999 nan 1e3; do
	expect 2 "$BDUS" flush --timeout "$seconds" --all
	says err "\"$seconds\""
done

expect 2 "$BDUS" run
expect 2 "$BDUS" run rma
says err '"rma"' 'did you mean "ram"' file null
for number in 0 -1 x "" 4294967297; do
	expect 2 "$BDUS" run ram size=1M --queues "$number"
	says err "\"$number\"" "from 1 to"
done
way="--transport $(nbd s)"
expect 2 "$BDUS" run ram $way siez=1M
says err siez 'did you mean "size"'
expect 2 "$BDUS" run ram $way size=1x
says err "size=1x"
expect 2 "$BDUS" run ram $way size
says err size
expect 2 "$BDUS" run ram $way size=1M size=2M
says err "twice"
expect 2 "$BDUS" run "$BDUS_SLOW_DRIVER" $way colour=mauve
says err "colour=mauve" "red green blue"
expect 2 "$BDUS" run ram size=1M --transport nonsense
says err nonsense nbd
expect 2 "$BDUS" run ram size=1M --transport nbd,sokcet=/x
says err sokcet socket
expect 2 env BDUS_TRANSPORT=nonsense "$BDUS" run ram size=1M
says err nonsense
expect_nothing_left s
