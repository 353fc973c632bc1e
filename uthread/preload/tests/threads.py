# SPDX-License-Identifier: MIT
"""What Python's threads can do, as far as its output does not depend on their order."""
import concurrent.futures
import queue
import socket
import subprocess
import sys
import threading
import time

squares = []
lock = threading.Lock()
numbers = queue.Queue(5)


def produce():
    for number in range(200):
        numbers.put(number)
    for _ in range(4):
        numbers.put(None)


def consume():
    while (number := numbers.get()) is not None:
        with lock:
            squares.append(number * number)


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


run_all([threading.Thread(target=produce)] + [threading.Thread(target=consume) for _ in range(4)])
print("queue", sum(squares))

event = threading.Event()
threading.Timer(0.05, event.set).start()
print("timer", event.wait(5))

condition = threading.Condition()
with condition:
    print("condition", condition.wait(0.02))

barrier = threading.Barrier(5)
met = []
run_all([threading.Thread(target=lambda: met.append(barrier.wait() >= 0)) for _ in range(5)])
print("barrier", met)

near, far = socket.socketpair()


def echo():
    while data := far.recv(100):
        far.sendall(data.upper())


thread = threading.Thread(target=echo)
thread.start()
near.sendall(b"hello")
print("socket", near.recv(100))
near.close()
thread.join()

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print("pool", sum(pool.map(lambda number: number * number, range(1000))))

local = threading.local()
local.own = 1
thread = threading.Thread(target=lambda: print("local", hasattr(local, "own")))
thread.start()
thread.join()

semaphore = threading.Semaphore(2)
print("semaphore", [semaphore.acquire(timeout=0.01) for _ in range(3)])
print("process", subprocess.run(["echo", "child"], capture_output=True, check=True).stdout)
time.sleep(0.01)
sys.exit(7)
