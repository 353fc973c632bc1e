#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The time that wirec takes for a description of 5000 lines (or the number given), read, compiled and
# written; medians of 9 runs. Structures of all kinds, in the mix that formats of disks have.
set -u -o pipefail
: "${WIREC:?is the compiler}"
lines=${1:-5000} rounds=${2:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sets() # NUMBER
{
	cat <<-END
		enum kind_$1 : u8 unknown keep { NONE = 0, FILE = 1, LINK = 2 }
		flags feature_$1 : u32 { JOURNAL = bit 0, CHECKSUM = bit 1, LARGE = bit 2 }
	END
}

# 23 lines.
block() # NUMBER
{
	local set=$(($1 % 10))
	cat <<-END

		/// The header of structure $1.
		struct header_$1 size 64 {
			bytes magic[4] = "HD$(($1 % 90 + 10))";
			u32 length in 1..65536;
			feature_$set features;
			u32 crc;
			u64 blocks;
			u16be owner;
			bits u16 lsb modes_$1 { ready : 1; speed : 3 in 0..5; pad : 12 check; }
			char label[16];
			checksum crc = crc32c over self[0..64] skip crc;
		}

		struct entry_$1(u32 entries) {
			header_$1 header;
			kind_$set kind;
			u8 name_length;
			if (kind == 1) { u32 block; } else { u64 target; }
			char name[name_length] exact;
			u32 list[entries];
			assert header.length >= entries "too many entries";
		}
	END
}

{
	echo 'format large little;'
	for ((i = 0; i < 10; i++)); do
		sets $i
	done
	for ((i = 0; i < lines / 23; i++)); do
		block $i
	done
} >"$work/large.wire"
written=$(wc -l <"$work/large.wire")
for ((round = 0; round < rounds; round++)); do
	rm -f "$work"/large*.[ch]
	start=$(date +%s%N)
	"$WIREC" -o "$work" "$work/large.wire" || exit 1
	echo $((($(date +%s%N) - start) / 1000))
done >"$work/times"
bytes=$(cat "$work"/large*.[ch] | wc -c)
sort -n "$work/times" | awk -v lines="$written" -v bytes="$bytes" '
	{ us[NR] = $1 }
	END { printf "%d lines: %.1f ms, %.1f MB of C\n", lines, us[int((NR + 1) / 2)] / 1000, bytes / 1e6 }'
