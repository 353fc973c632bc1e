# SPDX-License-Identifier: MIT
"""Commands of gdb for the userland threads of a program that uses libuthread.

    (gdb) source uthread-gdb.py
    (gdb) uthreads              lists all threads, and what each waits for
    (gdb) uthread NUMBER bt     runs a command (here: bt) as if that thread were running

Works on running programs; x86-64. The library has to have its debugging information.
"""
import gdb

REASONS = ["nothing", "the end of thread", "time", "mutex", "condition", "semaphore",
           "lock for reading", "lock for writing", "barrier", "once", "sending to channel",
           "receiving from channel", "nursery", "a wake from outside"]
ALIVE = 1
PREPARED, PARKED = 1, 2


def schedulers():
    scheduler = gdb.parse_and_eval("uthread_schedulers")
    while int(scheduler) != 0:
        yield scheduler
        scheduler = scheduler["list_next"]


def threads():
    """All threads that have not ended, in an order that stays while the program stands."""
    for scheduler in schedulers():
        slab = scheduler["thread_slabs"]
        while int(slab) != 0:
            yield from threads_of_slab(slab)
            slab = slab["next"]


def threads_of_slab(slab):
    for index in range(int(slab["made"])):
        thread = slab["threads"][index]
        if int(thread["life"]) == ALIVE:
            yield thread


def is_running(thread):
    worker = thread["worker"]
    return int(worker["current"]) == int(thread.address)


def has_begun(thread):
    return int(thread["context"]["registers"]["sp"]) != 0


def is_waiting(thread):
    return int(thread["wait"]) & 7 in (PREPARED, PARKED)


def describe(thread):
    if is_running(thread):
        return "runs on worker %d" % int(thread["worker"]["index"])
    if is_waiting(thread):
        return "waits for %s 0x%x" % (REASONS[int(thread["why"])], int(thread["object"]))
    return "can run" if has_begun(thread) else "has not begun"


class Uthreads(gdb.Command):
    """List the userland threads."""

    def __init__(self):
        super().__init__("uthreads", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for number, thread in enumerate(threads(), 1):
            print("%4d  %-15s 0x%x  %s" % (number, thread["name"].string(), int(thread.address),
                                           describe(thread)))


class Uthread(gdb.Command):
    """uthread NUMBER COMMAND: run a command as if that userland thread were running."""

    def __init__(self):
        super().__init__("uthread", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if len(words) != 2 or not words[0].isdigit():
            raise gdb.GdbError("usage: uthread NUMBER COMMAND")
        found = dict(enumerate(threads(), 1)).get(int(words[0]))
        if found is None:
            raise gdb.GdbError("there is no thread %s: see uthreads" % words[0])
        if is_running(found):
            gdb.execute(words[1])
            return
        if not has_begun(found):
            raise gdb.GdbError("thread %s has not begun" % words[0])
        run_at(found["context"]["registers"], words[1])


def run_at(registers, command):
    """The registers that the switch keeps; what else a function wants is on its stack."""
    gdb.execute("frame 0", to_string=True)
    before = {name: int(gdb.parse_and_eval("$" + name)) & 0xffffffffffffffff
              for name in ("rsp", "rbp", "rip")}
    wanted = {"rsp": registers["sp"], "rbp": registers["frame"], "rip": registers["next"]}
    try:
        for name, value in wanted.items():
            gdb.execute("set $%s = 0x%x" % (name, int(value)))
        gdb.execute(command)
    finally:
        gdb.execute("frame 0", to_string=True)
        for name, value in before.items():
            gdb.execute("set $%s = 0x%x" % (name, value))


Uthreads()
Uthread()
