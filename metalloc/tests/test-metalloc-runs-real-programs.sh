#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of this machine do the same under the library as without: the first time, and once they have a profile.
# shellcheck source=metalloc/tests/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$dir/program.c" <<'END'
#include <stdio.h>
#include <string.h>
struct list { struct list *next; char name[100]; };
int main(void) { struct list last = {0}; strcpy(last.name, "end"); printf("%s %zu\n", last.name, sizeof(last)); return 0; }
END
cat >"$dir/program.cc" <<'END'
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>
struct alignas(256) wide { char bytes[256]; };
int main()
{
	std::map<std::string, std::vector<int>> all;
	for (int i = 0; i < 20000; i++)
		all[std::to_string(i % 3000)].push_back(i);
	auto one = std::make_unique<wide>();
	std::unique_ptr<wide[]> many(new wide[10]);
	try {
		std::vector<char> huge(static_cast<std::size_t>(-1) / 4);
		std::cout << "?\n";
	} catch (const std::bad_alloc &) {
		std::cout << "bad_alloc\n";
	}
	void *none = ::operator new(static_cast<std::size_t>(1) << 62, std::nothrow);
	std::cout << all.size() << ' ' << reinterpret_cast<std::size_t>(one.get()) % 256 << ' '
		  << reinterpret_cast<std::size_t>(many.get()) % 256 << ' ' << (none == nullptr) << '\n';
}
END
# same NAME COMMAND: like without the library, three times.
same()
{
	local name=$1 wanted got i
	shift
	command -v "$1" >/dev/null || { echo "not here: $1"; return; }
	wanted=$(cd "$dir" && timeout 60 "$@" 2>&1; echo "status $?")
	for i in 1 2 3; do
		got=$(cd "$dir" && LD_PRELOAD=$LIBRARY timeout 60 "$@" 2>&1; echo "status $?")
		check "$name, time $i" test "$got" = "$wanted"
	done
}

same 'sort' sort -r /etc/services /etc/passwd
same 'sort with threads' sort --parallel=4 /usr/share/common-licenses/GPL-3
same 'find' find /usr/include/linux -name '*.h'
same 'awk' awk '{ n[$1]++ } END { for (i in n) s += n[i]; print s, length(n) }' /usr/share/common-licenses/GPL-3
same 'sed' sed 's/\(a*\)\(b*\)/\2\1/g' /usr/share/common-licenses/GPL-3
same 'grep' grep -c '\(the\|of\).*\(free\|work\)' /usr/share/common-licenses/GPL-3
same 'tar and xz' sh -c 'tar -cf - -C /usr/include/linux . | xz -1 -T2 | xz -d | md5sum'
same 'gcc' sh -c 'gcc -O2 -o program program.c && ./program'
same 'g++' sh -c 'g++ -O1 -std=c++17 -o program2 program.cc && ./program2'
same 'perl' perl -e 'my %h; $h{$_ % 5000} .= "x$_" for 1..100000; print length(join ",", map { $h{$_} } sort keys %h), "\n"'
same 'python' python3 -c 'import json, re, subprocess, threading
r = []
t = [threading.Thread(target=lambda: r.append(sum(len(json.dumps({"a": [i] * 9})) for i in range(4000)))) for _ in range(4)]
[x.start() for x in t]; [x.join() for x in t]
print(r, subprocess.run(["true"]).returncode)'
same 'python without its own allocator' env PYTHONMALLOC=malloc python3 -c '
print(sum(len(str(i) * 3) for i in range(100000)))'
same 'git' git -C "$(dirname "$0")" log --oneline -n 20
# It has functions of its own for those that it knows of.
same 'sort within valgrind' valgrind --quiet --error-exitcode=1 --leak-check=no sort -u /etc/services
same 'bash with forks' bash -c 'for i in {1..30}; do (echo $i | cat); done | md5sum'
exit $failed
