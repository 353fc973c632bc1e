# SPDX-License-Identifier: MIT
"""Four clients of memcached at once: memcached.py SOCKET."""
import socket
import sys
import threading
import time

wrong = []


def connect():
    for _ in range(200):
        try:
            client = socket.socket(socket.AF_UNIX)
            client.connect(sys.argv[1])
            return client
        except OSError:
            time.sleep(0.05)
    sys.exit("memcached does not listen")


def use(number):
    stream = connect().makefile("rwb", buffering=0)
    for i in range(200):
        value = b"%d-%d" % (number, i)
        stream.write(b"set key%d 0 0 %d\r\n%s\r\n" % (number, len(value), value))
        answer = stream.readline()
        stream.write(b"get key%d\r\n" % number)
        got = [stream.readline() for _ in range(3)][1].strip()
        if answer != b"STORED\r\n" or got != value:
            wrong.append((answer, got, value))


threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(str(wrong[:3]) if wrong else 0)
