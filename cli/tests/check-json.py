#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check-json.py KIND FILE ASSERTION: the file is exactly one JSON document as bdus(1) documents it for
a command: every member that is documented, of its type, and none that is not. The assertion, a Python
expression, is true of the document d."""

import json
import sys

INT, TEXT, BOOL, NULL = "an integer", "a string", "a boolean", "null"


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a member stands twice: {keys}"
    return dict(pairs)


def kind_of(value):
    kinds = {bool: BOOL, int: INT, str: TEXT, type(None): NULL}
    return kinds.get(type(value), type(value).__name__)


def check(value, schema, place):
    if isinstance(schema, dict):
        assert isinstance(value, dict), f"{place} is not an object"
        missing, extra = schema.keys() - value.keys(), value.keys() - schema.keys()
        assert not missing, f"{place} lacks {sorted(missing)}"
        assert not extra, f"{place} has {sorted(extra)}, which is not documented"
        for key, inner in schema.items():
            check(value[key], inner, f"{place}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), f"{place} is not an array"
        for index, inner in enumerate(value):
            check(inner, schema[0], f"{place}[{index}]")
    elif isinstance(schema, set):
        assert value in schema, f"{place} is {value!r}, not one of {sorted(schema)}"
    elif callable(schema):
        schema(value, place)
    else:
        allowed = schema if isinstance(schema, tuple) else (schema,)
        assert kind_of(value) in allowed, f"{place} is {value!r}, not {' or '.join(allowed)}"
        assert value != "", f"{place} is an empty string rather than null"


DEVICE = {
    "id": (INT, NULL), "path": (TEXT, NULL), "native_path": (TEXT, NULL),
    "state": {"creating", "available", "draining", "orphaned"},
    "transport": (TEXT, NULL), "driver": (TEXT, NULL), "pid": (INT, NULL),
    "size_bytes": (INT, NULL), "logical_block_size": (INT, NULL),
    "physical_block_size": (INT, NULL), "queues": (INT, NULL), "queue_depth": (INT, NULL),
    "read_only": BOOL,
    "operations": [{"read", "write", "flush", "write-zeros", "discard", "secure-erase", "extents",
                    "cache"}],
    "flags": [{"read-only", "fua", "rotational", "no-partition-scan", "fast-zero"}],
    "major": (INT, NULL), "minor": (INT, NULL), "created_s": (INT, NULL),
}
CHOICES = [TEXT]
OPTION = {
    "key": TEXT, "kind": {"string", "size", "number", "bool", "choice"}, "required": BOOL,
    "default": (TEXT, NULL), "help": (TEXT, NULL), "minimum": (INT, NULL), "maximum": (INT, NULL),
    "choices": lambda value, place: value is None or check(value, CHOICES, place),
}
FEATURES = {
    "block-device", "remote", "read-only", "flush", "fua", "discard", "write-zeros",
    "secure-erase", "extents", "cache", "ioctl", "zones", "partition-scan", "no-partition-scan",
    "multi-queue", "unprivileged", "recovery", "zero-copy",
}
OPERATION = {
    "operations": INT, "bytes": INT, "errors": INT, "timed": INT, "timed_ns": INT,
    "latency_ns": {name: (INT, NULL) for name in ("p50", "p90", "p99", "p999")},
}


def operations(value, place):
    for name, operation in value.items():
        check(operation, OPERATION, f"{place}.{name}")


def filter_status(value, place):
    assert value is None or isinstance(value, dict), f"{place} is neither an object nor null"


SCHEMAS = {
    "run": DEVICE,
    "list": {"devices": [DEVICE]},
    "info": {"devices": [dict(DEVICE, filters=[{"name": TEXT, "status": filter_status}],
                      log_level=(TEXT, NULL))],
             "errors": [{"device": TEXT, "status": INT, "message": TEXT}]},
    "stats": {"devices": [{
        "id": INT, "path": (TEXT, NULL), "driver": (TEXT, NULL), "transport": (TEXT, NULL),
        "time_ns": INT, "queues": INT, "queue_depth": INT, "in_flight": INT, "fetched": INT,
        "batches": INT, "workers": INT, "worker_limit": INT, "operations": operations,
        "filters": [dict(OPERATION, name=TEXT, completed=INT)]}],
              "errors": [{"device": TEXT, "status": INT, "message": TEXT}]},
    "check": {"transports": [{
        "name": TEXT, "summary": TEXT, "usable": BOOL, "reason": (TEXT, NULL),
        "features": {name: {"supported": BOOL, "reason": (TEXT, NULL)} for name in FEATURES},
        "options": [OPTION]}]},
    "drivers": {"drivers": [{"name": TEXT, "summary": TEXT, "options": [OPTION]}]},
    "filters": {"filters": [{"name": TEXT, "summary": TEXT, "options": [OPTION]}]},
    "version": {"version": TEXT, "driver_abi": INT},
}

if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        document = json.load(file, object_pairs_hook=no_duplicates)
    check(document, SCHEMAS[sys.argv[1]], "the document")
    assert eval(sys.argv[3], {"d": document}), f"it is not true that {sys.argv[3]}"
