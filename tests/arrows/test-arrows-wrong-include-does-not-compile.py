#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that a room cannot include what it may not.

Takes the build's own compile command of one source of each room, and compiles instead of that source a
line that includes some header: one of a room that it may include has to compile, any other header of
this repository must not be found. A room's README and docs/ARCHITECTURE.md say what it may include; the
table below is that, for the compiler.

usage: test-arrows-wrong-include-does-not-compile.py SOURCE_ROOT BUILD_ROOT
"""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

# What each room may include. "public" is include/, "device" the contract in device/include/; what a
# room keeps to itself nobody else may include.
MAY_INCLUDE = {
    "base": {"base"},
    "asys": {"public", "base"},
    "metalloc": {"public", "base"},
    "opvm": {"public", "base"},
    "uthread": {"public", "base"},
    "uthread/*": {"public"},
    "caps": {"public", "base"},
    "device": {"public", "device", "base"},
    "transports/*": {"public", "device", "base", "abi"},
    "drivers/*": {"public", "base", "abi"},
    "filters/*": {"public", "base", "abi"},
    "cli": {"public"},
    "examples": {"public"},
}
# Groups whose members are rooms of their own.
FAMILIES = ("transports", "drivers", "filters")
# Rooms within a room.
SUB_ROOMS = ("uthread/adapter", "uthread/preload")


def room_of(path):
    parts = path.split("/")
    if "/".join(parts[:2]) in SUB_ROOMS or parts[0] in FAMILIES and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0]


def family_of(room):
    return room.split("/")[0] + "/*" if "/" in room else room


class Header:
    """A header, who owns it, and the ways to spell its name in an #include."""

    def __init__(self, path):
        self.path = path
        self.room = room_of(path)
        parts = path.split("/")
        if parts[0] == "include":
            self.owner, self.names = "public", ["/".join(parts[1:])]
        elif "include" in parts:
            spelled = "/".join(parts[parts.index("include") + 1:])
            self.owner, self.names = self.room, [spelled, path]
        else:
            self.owner, self.names = self.room + ", private", [os.path.basename(path), path]

    def open_to(self, room):
        return (self.room == room or
                self.owner in MAY_INCLUDE.get(family_of(room), ()))


class Room:
    def __init__(self, name, source_root, entry):
        self.name = name
        self.directory = entry["directory"]
        words = shlex.split(entry["command"])
        keep, skip = [], False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MQ"):
                skip = True
            elif word not in ("-c", "-MD") and word != entry["file"]:
                keep.append(word)
        # A quoted include looks beside the source first: standard input has to do the same.
        self.command = keep + ["-iquote", os.path.join(source_root, name), "-x", "c", "-w"]

    def run(self, options, text):
        # Alone in a folder: beside standard input would be the build's root, with its generated headers.
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "source.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write(text)
            return subprocess.run(self.command + options + [source], text=True,
                                  cwd=self.directory, capture_output=True, check=False)

    def compiles(self, name):
        return self.run(["-fsyntax-only"], '#include "%s"\n' % name).returncode == 0

    def found(self, names):
        """Those of the names that an #include would find."""
        text = "".join('#if __has_include("%s")\nfound %s\n#endif\n' % (name, name)
                       for name in names)
        done = self.run(["-E", "-P"], text)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return set(re.findall(r"^found (\S+)$", done.stdout, re.MULTILINE))


def find_headers(source_root):
    tracked = subprocess.run(["find", ".", "-name", "*.h", "-not", "-path", "./build*",
                              "-not", "-path", "*/.*/*"], cwd=source_root, text=True,
                             capture_output=True, check=True).stdout.split()
    return [Header(path[2:]) for path in sorted(tracked)]


def find_rooms(source_root, build_root):
    rooms = {}
    with open(os.path.join(build_root, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), source_root)
        room = room_of(path)
        is_test = "test" in path or "test" in entry.get("output", "")
        if path.endswith(".c") and not is_test and family_of(room) in MAY_INCLUDE:
            rooms.setdefault(room, Room(room, source_root, entry))
    return rooms


def of_the_system(names):
    """Names that any program finds, such as <wait.h>: they say nothing about a room."""
    bare = Room("", "", {"directory": "/", "command": "cc", "file": ""})
    return bare.found(names)


def complaints(room, headers):
    """Sentences on what this room can or cannot include, against the table."""
    allowed = [header for header in headers if header.open_to(room.name)]
    own = {name for header in allowed for name in header.names}
    forbidden = {name: header for header in headers if not header.open_to(room.name)
                 for name in header.names if name not in own}
    for name in of_the_system(forbidden):
        del forbidden[name]
    for name in sorted(room.found(forbidden)):
        yield "%s finds %s, which belongs to %s" % (room.name, name, forbidden[name].owner)
    # A few of each for real: that the compiler stops, and that it does not for what is allowed.
    for name in sorted(forbidden)[::9]:
        if room.compiles(name):
            yield "%s compiles with %s" % (room.name, name)
    reachable = room.found({header.names[0] for header in allowed})
    if not reachable:
        yield "%s finds no header at all" % room.name
    for name in sorted(reachable):
        if not room.compiles(name):
            yield "%s does not compile with %s, which it may include" % (room.name, name)


def escapes(source_root, headers):
    """Relative includes that climb out of their room."""
    for folder, folders, files in os.walk(source_root):
        folders[:] = [name for name in folders if name[0] != "." and not name.startswith("build")]
        for name in files:
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.relpath(os.path.join(folder, name), source_root)
            with open(os.path.join(folder, name), encoding="utf-8") as source:
                for target in re.findall(r'^\s*#\s*include\s+"(\.\./[^"]*)"', source.read(),
                                         re.MULTILINE):
                    there = os.path.normpath(os.path.join(os.path.dirname(path), target))
                    if room_of(there) != room_of(path):
                        yield "%s includes %s" % (path, target)


def main(source_root, build_root):
    source_root = os.path.realpath(source_root)
    headers = find_headers(source_root)
    rooms = find_rooms(source_root, os.path.realpath(build_root))
    results = [("%s includes what it may and nothing else" % name,
                list(complaints(room, headers))) for name, room in sorted(rooms.items())]
    results.append(("no include climbs out of its room", list(escapes(source_root, headers))))
    print("TAP version 13\n1..%d" % len(results))
    for number, (name, wrong) in enumerate(results, 1):
        for sentence in wrong:
            print("# %s" % sentence)
        print("%sok %d - %s" % ("not " if wrong else "", number, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
