#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Makes programs around other libraries of userland threads (peers/), and runs the benchmarks with them.
# Each library comes by an environment variable that names the folder where it is installed, with
# include/ and lib/ in it (State Threads, minicoro: the folder of st.h and libst.a, of minicoro.h):
#
#	UTHREAD_PEER_MASSIVETHREADS, UTHREAD_PEER_ARGOBOTS, UTHREAD_PEER_LIBDILL, UTHREAD_PEER_PHOTON,
#	UTHREAD_PEER_STATE_THREADS, UTHREAD_PEER_MINICORO
#
# usage: peers.sh BENCH-UTHREAD BENCH-UTHREAD-READS [ROUNDS [COUNT [THREADS]]]
set -eu -o pipefail
bench=$1 reads=$2 rounds=${3:-5} count=${4:-1000000} threads=${5:-1000000}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d /tmp/uthread-peers-XXXXXX)
trap 'rm -rf "$dir"' EXIT
programs=()

# peer NAME FOLDER COMPILER WORD...: makes the program, if there is a folder.
peer()
{
	local name=$1 folder=$2 compiler=$3
	shift 3
	[[ -n $folder ]] || {
		echo "left out: ${name%.c*}"
		return 0
	}
	"$compiler" -O3 -DNDEBUG -I"$folder/include" -I"$folder" -I"$here/peers" "$here/peers/$name" \
		-L"$folder/lib" -L"$folder" -Wl,-rpath,"$folder/lib" "$@" -lpthread -o "$dir/${name%.c*}"
	programs+=("$dir/${name%.c*}")
}

peer minicoro.c "${UTHREAD_PEER_MINICORO:-}" "${CC:-cc}"
peer massivethreads.c "${UTHREAD_PEER_MASSIVETHREADS:-}" "${CC:-cc}" -lmyth
peer argobots.c "${UTHREAD_PEER_ARGOBOTS:-}" "${CC:-cc}" -labt
peer libdill.c "${UTHREAD_PEER_LIBDILL:-}" "${CC:-cc}" -ldill
peer state_threads.c "${UTHREAD_PEER_STATE_THREADS:-}" "${CC:-cc}" -lst
peer photon.cc "${UTHREAD_PEER_PHOTON:-}" "${CXX:-c++}" -std=c++17 -lphoton
UTHREAD_BENCH_PEERS=$(IFS=';' && echo "${programs[*]-}")
export UTHREAD_BENCH_PEERS
"$bench" "$rounds" "$count" "$threads"
"$reads" "$rounds" "$((count / 5))"
