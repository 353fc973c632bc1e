#!/bin/sh
# SPDX-License-Identifier: MIT
# mandoc has nothing to say about the manual pages of the programming interfaces, and each public
# function has one.
#
# usage: test-manual-pages-are-clean.sh SOURCE_ROOT
set -eu

root=$1
command -v mandoc >/dev/null || {
	echo "SKIP: mandoc is not here"
	exit 77
}
status=0
for page in "$root"/docs/man/*.[37]; do
	mandoc -T lint -W warning "$page" || status=1
done
functions=$(sed -n 's/^.*[ *]\(bdus_[a-z_]*\)(.*/\1/p' "$root"/include/bdus.h \
	"$root"/include/bdus/request.h "$root"/include/bdus/driver.h "$root"/include/bdus/manage.h \
	"$root"/include/bdus/async.h "$root"/include/bdus/stats.h "$root"/include/bdus/thread.h "$root"/include/bdus/zoned.h |
	grep -v '_$\|bdus_driver_entry\|bdus_progress_fn' | sort -u)
for function in $functions; do
	grep -qx "\.Nm $function\( ,\)*" "$root"/docs/man/*.3 || {
		echo "no manual page names $function()"
		status=1
	}
done
exit $status
