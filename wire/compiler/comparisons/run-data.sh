#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs wirec as each data file says: "== file NAME" and what it contains, "== run ARGUMENTS",
# "== status N", "== says" and what is printed, exactly. A first line in words says what it is about.
set -u -o pipefail
: "${WIREC:?is the compiler}"
work=$(mktemp -d "${TMPDIR:-/tmp}/wire-data-XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

run_one() # DATA-FILE
{
	local line into=/dev/null arguments=() status=0 wanted=0
	rm -rf "$work/files" && mkdir "$work/files"
	: >"$work/wanted"
	while IFS= read -r line; do
		case $line in
		'== file '*) into=$work/files/${line#== file } ;;
		'== run '*) read -ra arguments <<<"${line#== run }" ;;
		'== status '*) wanted=${line#== status } ;;
		'== says') into=$work/wanted ;;
		*) printf '%s\n' "$line" >>"$into" ;;
		esac
	done <"$1"
	(cd "$work/files" && "$WIREC" "${arguments[@]}") >"$work/said" 2>&1
	status=$?
	if ((status != wanted)) || ! diff -u "$work/wanted" "$work/said"; then
		echo "FAIL: ${1##*/}: status $status, should be $wanted"
		failed=1
	fi
}

(($#)) || exit 2
for data; do
	run_one "$data"
done
exit $failed
