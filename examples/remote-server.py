#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The other end of remote.c: remote-server.py IMAGE [PORT]. Prints the port once it listens there."""
import mmap
import socketserver
import struct
import sys

BLOCK = 4096


class Disk(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(struct.pack("<Q", len(image) // BLOCK))
        while (words := self.rfile.read(16)):
            block, write = struct.unpack("<QQ", words)
            place = slice(block * BLOCK, (block + 1) * BLOCK)
            if write:
                image[place] = self.rfile.read(BLOCK)
            self.wfile.write(image[place])


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


with open(sys.argv[1], "r+b") as file:
    image = mmap.mmap(file.fileno(), 0)
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
with Server(("127.0.0.1", port), Disk) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
