#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""metalloc against other allocators: processor time and peak memory of a varied set of programs, start-up, short
programs, and instructions of one malloc() and free().

usage: compare.py [--rounds N] [--scale N] [--only NAME,...] {set | start | short | pairs}...

METALLOC_LIBRARY names the library, METALLOC_LOADS the loads, METALLOC_BUMP the least malloc there is. Peers are what
Debian packages; METALLOC_PEERS names more: NAME=LIBRARY, separated by spaces. METALLOC_PROGRAMS names a file of more
programs, each a line of its name and its command; of one that runs for a fixed time, a bar and the pattern of what it
says that it did follow, and its processor time is counted by that: "larson larson 2 8 ... | Throughput = ([0-9]+)".
All sides run in turn, each round in another order, after three executions that make a profile; figures are medians,
and ratios to the C library's malloc.
"""
import argparse
import glob
import math
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

PACKAGED = {"mimalloc": "libmimalloc.so.2", "jemalloc": "libjemalloc.so.2",
            "tcmalloc": "libtcmalloc_minimal.so.4"}


def find_peers():
    peers = {"glibc": ""}
    peers["metalloc"] = os.path.realpath(os.environ["METALLOC_LIBRARY"])
    for name, library in PACKAGED.items():
        found = glob.glob("/usr/lib/*/" + library)
        if found:
            peers[name] = found[0]
    for word in os.environ.get("METALLOC_PEERS", "").split():
        name, _, library = word.partition("=")
        peers[name] = library
    return peers


def environment(library, extra=None):
    result = dict(os.environ, **(extra or {}))
    result.pop("LD_PRELOAD", None)
    if library:
        result["LD_PRELOAD"] = library
    return result


def measure(command, library, extra, directory, count=1):
    """Wall microseconds, processor seconds, and peak KiB of one execution, out of some."""
    child = subprocess.run([os.environ["METALLOC_STARTS"], str(count), library or "-", *command],
                           env=environment(None, extra), cwd=directory, stdout=subprocess.PIPE, check=True)
    return [float(word) for word in child.stdout.split()]


def measure_rate(command, library, extra, directory, pattern):
    """As measure(), of a program that runs for a fixed time and says how much it did: processor seconds of one of it."""
    with subprocess.Popen(command, env=environment(library, extra), cwd=directory, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        said = child.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(pattern, said)
    if child.returncode != 0 or not found:
        raise RuntimeError("%s: status %d, and nowhere %r in: %s" % (command, child.returncode, pattern, said))
    return [0.0, (usage.ru_utime + usage.ru_stime) / float(found.group(1)), float(usage.ru_maxrss)]


PYTHON = """
import json
table = {}
for i in range(60000):
    table["key%d" % i] = [str(i), {"a": i, "b": [i] * 3}]
for _ in range(2):
    text = json.dumps(table)
    table = json.loads(text)
"""

LUA = """
local function grow(d) if d == 0 then return {} end return {grow(d - 1), grow(d - 1)} end
local function count(t) if t[1] then return 1 + count(t[1]) + count(t[2]) end return 1 end
local old, sum = grow(14), 0
for i = 1, 60 do sum = sum + count(grow(10)) end
print(sum, count(old))
"""

PERL = ('my %h; for my $i (1 .. 150000) { $h{"k" . ($i % 20000)} .= "v$i,"; '
        'delete $h{"k" . ($i % 777)} if $i % 5 == 0 } print scalar(keys %h), "\\n"')

Z3 = """
(declare-fun a () (_ BitVec 16)) (declare-fun b () (_ BitVec 16)) (declare-fun c () (_ BitVec 16))
(assert (= (bvmul a b) #x6bcd)) (assert (bvugt a #x0003)) (assert (bvugt b #x0003))
(assert (= (bvadd c (bvmul a a)) (bvxor b #x1234))) (check-sat)
"""

CXX = """
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
int f(int n) { std::map<std::string, std::vector<int>> m; std::unordered_map<int, std::unique_ptr<std::string>> u;
for (int i = 0; i < n; i++) { m[std::to_string(i)].push_back(i); u[i] = std::make_unique<std::string>("x"); }
std::vector<int> v; for (auto &e : m) v.insert(v.end(), e.second.begin(), e.second.end());
std::sort(v.begin(), v.end()); return v.front(); }
"""

C_TEXT = "#include <stdio.h>\n#include <string.h>\n" + "".join(
    "struct s%d { int a[%d]; struct s%d *next; };\n"
    "static int f%d(struct s%d *s, int n) { int sum = 0; for (int i = 0; i < n; i++) { if (s->a[i %% %d] > i) "
    "sum += s->a[i %% %d] * %d; else sum -= i; } return s->next ? sum + n : sum; }\n"
    % (i, i % 7 + 1, i, i, i, i % 7 + 1, i % 7 + 1, i) for i in range(400)) + \
    "int main(void) { int sum = 0;" + "".join(
        "{ struct s%d s; memset(&s, %d, sizeof(s)); s.next = 0; sum += f%d(&s, 9); }" % (i, i % 100, i)
        for i in range(400)) + 'printf("%d\\n", sum); return 0; }\n'

FILES = {"load.py": PYTHON, "load.lua": LUA, "load.smt2": Z3, "load.cc": CXX, "load.c": C_TEXT}


def programs(scale):
    """Name: command and variables."""
    loads = os.environ["METALLOC_LOADS"]
    result = {name: ([loads, name, str(scale)], {}) for name in
              ("table", "trees", "numbers", "strings", "large", "buffers", "phases", "apart", "server",
               "pipeline", "brief")}
    python = os.path.realpath(subprocess.run(["python3", "-c", "import sys; print(sys.executable)"],
                                             stdout=subprocess.PIPE, check=True).stdout.decode().strip())
    result["python"] = ([python, "load.py"], {"PYTHONMALLOC": "malloc"})
    for name, command in {"lua": ["lua5.4", "load.lua"], "perl": ["perl", "-e", PERL], "z3": ["z3", "load.smt2"],
                          "gcc": ["gcc", "-O2", "-c", "-o", "/dev/null", "load.c"],
                          "g++": ["g++", "-O1", "-c", "-o", "/dev/null", "load.cc"],
                          "sort": ["sort", "-k", "2", "load.txt"]}.items():
        if shutil.which(command[0]):
            result[name] = (command, {})
    return {**result, **more_programs()}


def more_programs():
    """What METALLOC_PROGRAMS says, as programs() has it, with a third for a pattern."""
    result = {}
    if "METALLOC_PROGRAMS" in os.environ:
        with open(os.environ["METALLOC_PROGRAMS"], encoding="utf-8") as file:
            for line in filter(str.strip, file):
                words, _, pattern = line.partition("|")
                name, *command = shlex.split(words)
                result[name] = (command, {}, *filter(None, [pattern.strip()]))
    return result


def short_programs():
    return {"ls": (["ls", "-l", "/usr/bin"], {}), "git status": (["git", "-C", os.path.dirname(
        os.path.abspath(__file__)), "status"], {}), "perl -e": (["perl", "-e", "1"], {}),
            "as": (["as", "-o", "/dev/null", "load.s"], {}),
            "ld": (["ld", "-r", "-o", "/dev/null", "load.o"], {})}


def make_files(directory):
    for name, text in FILES.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    with open(os.path.join(directory, "load.txt"), "w", encoding="utf-8") as file:
        for i in range(60000):
            file.write("%d %d\n" % (i, i * 7919 % 100003))
    subprocess.run(["gcc", "-O1", "-S", "-o", "load.s", "load.c"], cwd=directory, check=True)
    subprocess.run(["gcc", "-O1", "-c", "-o", "load.o", "load.c"], cwd=directory, check=True)


def mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def row(name, values):
    print("%-12s" % name + "".join("%12s" % value for value in values), flush=True)


def compare(chosen, peers, rounds, directory, count=1):
    """Prints a table of ratios to glibc: processor time / peak memory."""
    names = list(peers)
    times, sizes = {name: [] for name in names}, {name: [] for name in names}
    row("", [name + (" (s, MiB)" if name == "glibc" else "") for name in names])
    for program, (command, extra, *pattern) in chosen.items():
        # Loads are one file, but stand for as many programs: none learns from another.
        extra = dict(extra, METALLOC_DIR=os.path.join(directory, "profiles", program))
        os.makedirs(extra["METALLOC_DIR"], exist_ok=True)
        figures = {name: [] for name in names}
        take, last = (measure_rate, pattern[0]) if pattern else (measure, count)
        for _ in range(3):
            take(command, peers["metalloc"], extra, directory, last)
        for i in range(rounds):
            for name in names[i % len(names):] + names[:i % len(names)]:
                figures[name].append(take(command, peers[name], extra, directory, last))
        base = [statistics.median(figure[k] for figure in figures["glibc"]) for k in (1, 2)]
        values = ["%.4g/%d" % (base[0], base[1] / 1024)]
        for name in names:
            time, size = (statistics.median(figure[k] for figure in figures[name]) for k in (1, 2))
            times[name].append(time / base[0])
            sizes[name].append(size / base[1])
            if name != "glibc":
                values.append("%.2f/%.2f" % (times[name][-1], sizes[name][-1]))
        row(program, values)
    row("mean", [""] + ["%.3f/%.2f" % (mean(times[name]), mean(sizes[name])) for name in names[1:]])


def make_tiny(directory):
    """The least program, and the least library to preload."""
    for name, text, flags in (("tiny", "int main(void) { return 0; }", []), ("empty.so", "", ["-shared", "-fPIC"])):
        subprocess.run(["gcc", "-O2", "-x", "c", "-", "-o", name] + flags, input=text.encode(), cwd=directory,
                       check=True)


def compare_start(peers, rounds, directory):
    """Time from start to end of a tiny process over one with an empty library preloaded, in microseconds."""
    make_tiny(directory)
    peers = {"empty": os.path.join(directory, "empty.so"), **peers}
    figures = {name: [] for name in peers}
    for i in range(rounds):
        names = list(peers)
        for name in names[i % len(names):] + names[:i % len(names)]:
            figures[name].append(measure([os.path.join(directory, "tiny")], peers[name], {}, directory, 100)[0])
    row("start, us", list(figures))
    row("over empty", ["%.1f" % (statistics.median(values) - statistics.median(figures["empty"]))
                       for values in figures.values()])


def instructions(library, count, directory):
    output = os.path.join(directory, "callgrind.out")
    child = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + output,
                            os.environ["METALLOC_PAIRS"], str(count)], env=environment(library),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    found = re.search(rb"Collected : (\d+)", child.stderr)
    if not found:
        raise RuntimeError(child.stderr.decode())
    return int(found.group(1))


def compare_pairs(peers, directory):
    """Instructions of one malloc() and free(), of one size in turn, over those of bump."""
    if not shutil.which("valgrind"):
        print("SKIP: no valgrind to count instructions with")
        return
    peers = {"bump": os.environ["METALLOC_BUMP"], **peers}
    figures = {}
    for name, library in peers.items():
        figures[name] = (instructions(library, 300000, directory) - instructions(library, 100000, directory)) / 200000
    row("pair, over", list(figures))
    row("bump", ["%+.1f" % (value - figures["bump"]) for value in figures.values()])
    row("in all", ["%.1f" % value for value in figures.values()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("what", nargs="+", choices=["set", "start", "short", "pairs"])
    options = parser.parse_args()
    peers = find_peers()
    with tempfile.TemporaryDirectory(prefix="bench-metalloc-") as directory:
        os.environ["METALLOC_DIR"] = os.path.join(directory, "profiles")
        make_files(directory)
        if "pairs" in options.what:
            compare_pairs(peers, directory)
        if "start" in options.what:
            compare_start(peers, options.rounds, directory)
        if "short" in options.what:
            short = dict(peers)
            short["empty"] = os.path.join(directory, "empty.so")
            make_tiny(directory)
            compare(short_programs(), short, options.rounds, directory, 20)
        if "set" in options.what:
            chosen = programs(options.scale)
            if options.only:
                chosen = {name: chosen[name] for name in options.only.split(",")}
            compare(chosen, peers, options.rounds, directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
