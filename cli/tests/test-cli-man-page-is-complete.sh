#!/bin/sh
# SPDX-License-Identifier: MIT
# bdus(1) names every command and every option, and is clean for mandoc where that is installed.
. "$(dirname "$0")/lib.sh"

page=$BDUS_MAN_PAGE
sed 's/\\-/-/g' "$page" >"$tmp/page"
for command in $("$BDUS" __words commands | cut -f 1); do
	grep -Eq "^\.Ss bdus $command( |\$)" "$tmp/page" || fail "no section for $command"
	sed -n "/^\.Ss bdus $command/,/^\.S[sh] [^b]/p" "$tmp/page" >"$tmp/section"
	for option in $("$BDUS" __words options "$command" | cut -f 1); do
		[ "$option" = --help ] && continue
		grep -Eq "^\.It .*Fl -${option#--}( |\$)" "$tmp/section" ||
			fail "bdus $command: no word on $option"
	done
done
for path in $(sed -n 's/^\.Op Fl -\([a-z-]*\).*/--\1/p' "$tmp/page" | sort -u); do
	for command in $("$BDUS" __words commands | cut -f 1); do
		"$BDUS" __words options "$command"
	done | cut -f 1 | grep -qx -e "$path" || fail "the synopsis names $path, which does not exist"
done
command -v mandoc >/dev/null || skip "mandoc is not installed; the rest passed"
expect 0 mandoc -T lint -W warning "$page"
