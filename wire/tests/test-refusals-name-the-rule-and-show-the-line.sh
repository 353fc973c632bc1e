#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-refusals-name-the-rule-and-show-the-line.sh WIREC
#
# Each description in refused/ says, in lines that start with //!, the mistakes that must be reported: line, column,
# text and rule. Nothing else may be reported, each comes with the source line and a caret below the column, and no
# output appears.
set -u
wirec=$(realpath "$1")
folder=$(dirname "$0")/refused
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

for file in "$folder"/*.wire; do
	sed -n 's|^//! \([0-9]*:[0-9]*\): |\1: error: |p' "$file" >"$work/wanted"
	"$wirec" -o "$work" "$file" 2>"$work/all"
	code=$?
	grep -F "$file:" "$work/all" | sed "s|^.*/${file##*/}:||" >"$work/got"
	if ((code != 1)) || ! diff -u "$work/wanted" "$work/got"; then
		echo "not so: ${file##*/}, exit code $code"
		failures=$((failures + 1))
		continue
	fi
	while IFS=: read -r line column _; do
		shown=$(sed -n "${line}p" "$file")
		if ! grep -qF "$line | $shown" "$work/all" && ((${#shown} < 200)); then
			echo "not shown: ${file##*/}:$line"
			failures=$((failures + 1))
		fi
		if ! grep -qE "^      \| .{$((column - 1))}\^\$" "$work/all"; then
			echo "no caret at ${file##*/}:$line:$column"
			failures=$((failures + 1))
		fi
	done <"$work/wanted"
	if compgen -G "$work/*.[ch]" >/dev/null; then
		echo "output of what was refused: ${file##*/}"
		failures=$((failures + 1))
	fi
done
echo "$(ls "$folder" | wc -l) descriptions, $failures failures"
exit $((failures > 0))
