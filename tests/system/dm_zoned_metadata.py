#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dm_zoned_metadata.py ZONES ZONE-KIB SET: what dm-zoned (version 1) wants to find at the start of zone
0 (set 0) and of the next zone (set 1) of an empty disk, for systems without dmzadm: a superblock, a map
of chunks of which none has a zone, and bitmaps without a valid block, in blocks of 4096 bytes. All of it
must fit into one zone. Prints the number of chunks to the standard error."""

import struct
import sys
import zlib

BLOCK = 4096
RESERVED = 16

zones, zone_kib, which = (int(word) for word in sys.argv[1:])
zone_blocks = zone_kib // 4
chunks = zones - (2 + RESERVED)
map_blocks = (chunks * 8 + BLOCK - 1) // BLOCK
bitmap_blocks = zones * max(1, zone_blocks // 8 // BLOCK)
meta_blocks = 1 + map_blocks + bitmap_blocks
generation = 1
assert meta_blocks <= zone_blocks and chunks > 0


def superblock(checksum):
    fields = struct.pack("<4sIQQIIIIII", b"DBZD", 1, generation, which * zone_blocks, meta_blocks,
                         RESERVED, chunks, map_blocks, bitmap_blocks, checksum)
    return fields.ljust(BLOCK, b"\0")


# CRC-32 begun with the generation, and without the inversions at both ends.
crc = ~zlib.crc32(superblock(0), ~generation & 0xFFFFFFFF) & 0xFFFFFFFF
sys.stdout.buffer.write(superblock(crc))
sys.stdout.buffer.write(b"\xff" * (map_blocks * BLOCK))
sys.stdout.buffer.write(b"\0" * (bitmap_blocks * BLOCK))
print(chunks, file=sys.stderr)
