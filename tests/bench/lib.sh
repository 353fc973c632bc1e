# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What benchmarks inside a guest have in common, to be read first: several devices exist at once, in one
# kernel, and take turns under fio. What a turn gave is a line of $work/NAME.WHAT, in reads or writes a
# second, and of $work/NAME.WHAT.cpu, in those a second of processor time.
#
# BDUS_BENCH_ROUNDS (9) and BDUS_BENCH_SECONDS (1) say how long.
. "$(dirname "${BASH_SOURCE[0]}")/../system/lib.sh"
need fio
rounds=${BDUS_BENCH_ROUNDS:-9} seconds=${BDUS_BENCH_SECONDS:-1}
declare -A disk pid
names=()

# add NAME DISK PID: PID is the process whose time counts, 0 for none, "all" for the whole machine's
add()
{
	names+=("$1")
	disk[$1]=$2 pid[$1]=$3
}

server_of() # NUMBER: the process that has /dev/ublkcNUMBER open
{
	find /proc/[0-9]*/fd -lname "/dev/ublkc$1" 2>/dev/null | head -n 1 | cut -d/ -f3
}

served_by() # DEVICE: the process that serves it
{
	"$BDUS" info --json "$1" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'
}

cpu_ticks() # PID: user and system time; the kernel's threads for its ring count as its own
{
	case $1 in
	0) echo 0 ;;
	all) awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat ;;
	*) awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat" ;;
	esac
}

# turn NAME WHAT FIO-OPTION...
turn()
{
	local name=$1 what=$2 before rate
	shift 2
	before=$(cpu_ticks "${pid[$name]}")
	rate=$(fio --name=x --filename="${disk[$name]}" --direct=1 --ioengine=libaio --time_based \
		--runtime="$seconds" --minimal --eta=never "$@" | awk -F';' '{ print $8 + $49 }')
	[[ ${rate:-0} != 0 ]] || fail "fio on $name: $*"
	echo "$rate" >>"$work/$name.$what"
	awk -v rate="$rate" -v seconds="$seconds" -v before="$before" -v hz="$(getconf CLK_TCK)" \
		-v after="$(cpu_ticks "${pid[$name]}")" \
		'BEGIN { t = after - before; print rate * seconds / ((t > 0 ? t : 1) / hz) }' \
		>>"$work/$name.$what.cpu"
}

# take_turns WHAT FIO-OPTION...: all that were added, in each round. Whoever comes first in a round may
# have it better or worse than the rest.
take_turns()
{
	local what=$1 round i
	shift
	for ((round = 0; round < rounds; round++)); do
		for ((i = 0; i < ${#names[@]}; i++)); do
			turn "${names[(round + i) % ${#names[@]}]}" "$what" "$@"
		done
	done
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

paired() # NAME PEER WHAT: the median of the quotients of neighbouring turns
{
	paste "$work/$1.$3" "$work/$2.$3" | awk '$2 > 0 { print $1 / $2 }' | median |
		awk '{ printf "%.2f\n", $1 }'
}

# compare NAME PEER WHAT: by turn, and by processor time where both have a process
compare()
{
	printf '%-28s %-15s ratio %s' "$1 / $2" "$3" "$(paired "$@")"
	[[ ${pid[$1]} == 0 || ${pid[$2]} == 0 ]] ||
		printf ', a CPU second %s' "$(paired "$1" "$2" "$3.cpu")"
	echo
}

# rates WHAT: the medians of all
rates()
{
	local name
	for name in "${names[@]}"; do
		printf '%-15s %-16s %s a second\n' "$name" "$1" "$(median <"$work/$name.$1")"
	done
}
