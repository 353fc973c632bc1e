# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Programs that several scripts load, as text for opvm; and the examples, within the kernel.

linear_program() # BYTES: everything lies so much farther on
{
	cat <<-END
		ldxdw r2, [r1+0]
		add r2, $1
		stxdw [r1+72], r2
		mov r0, 2
		exit
	END
}

stripe_program() # BYTES: stripes of 64 KiB in turn over two halves, of which the second begins there
{
	cat <<-END
		ldxdw r2, [r1+0]
		ldxdw r3, [r1+8]
		mov r4, r2
		and r4, 65535
		mov r5, 65536
		sub r5, r4
		jle r3, r5, whole
		stxdw [r1+64], r5
		whole:
		rsh r2, 16
		mov r3, r2
		and r3, 1
		mul r3, $1
		rsh r2, 1
		lsh r2, 16
		add r2, r3
		add r2, r4
		stxdw [r1+72], r2
		mov r0, 2
		exit
	END
}

# serve_in_kernel ARGUMENT...: as serve of examples/programs/cases.sh; the filter opvm becomes a program of
# the kernel's, and a backend a block device.
serve_in_kernel()
{
	local driver=() options=() object='' backend=()
	while (($#)); do
		case "$1 ${2:-}" in
		'--filter opvm:'*)
			IFS=, read -ra options <<<"${2#opvm:}"
			object=${options[0]}
			shift
			;;
		'--backend '*)
			loop=$(losetup --find --show "${2#file:path=}") || fail "no loop device of $2"
			backend=(--backend="$loop")
			shift
			;;
		*) driver+=("$1") ;;
		esac
		shift
	done
	bdus_run "${driver[@]}" || fail "no device: ${driver[*]}"
	target=$device
	load_in_kernel "$object" "${backend[@]}"
}

# load_in_kernel OBJECT ARGUMENT...: with the `options` of a filter.
load_in_kernel()
{
	local option names=() entries=() entry
	for option in "${options[@]:1}"; do
		case $option in
		name=*) names[0]=${option#*=} ;;
		completion=*) names[1]=${option#*=} ;;
		maps=*) IFS=+ read -ra entries <<<"${option#*=}" ;;
		*) fail "what is $option within the kernel?" ;;
		esac
	done
	must "$BDUS" program load "$device" "$1" "${names[@]}" "${@:2}" --kernel
	for entry in "${entries[@]}"; do
		IFS=: read -ra entry <<<"$entry"
		must "$BDUS" program map set "$device" "${entry[@]}" --kernel
	done
}

# redefine_for WAY: serve and unserve, for examples/programs/cases.sh.
redefine_for()
{
	serve()
	{
		bdus_run "$@" || fail "no device: $*"
		target=$device
	}
	unserve()
	{
		must "$BDUS" destroy "$device"
	}
	case $1 in
	nbd)
		serve()
		{
			bdus_run "$@" --transport "nbd,socket=$work/socket" || fail "no device: $*"
			target=nbd:unix:$work/socket
		}
		;;
	kbdus) redefine_for_kernel ;;
	esac
}

redefine_for_kernel()
{
	serve()
	{
		serve_in_kernel "$@"
	}
	# Not the server answered, and what the program answered made sense.
	unserve()
	{
		"$BDUS" program list "$device" --kernel >"$work/list" || fail 'the program cannot be listed'
		jq -e '.calls > 0 and .refused_answers == 0' "$work/list" >/dev/null || fail "$(cat "$work/list")"
		must "$BDUS" destroy "$device"
		[[ ! ${loop:-} ]] || must losetup -d "$loop"
		loop=''
	}
	serve_redirected()
	{
		rm -f "$work/unused" "$1"
		truncate -s "$2" "$work/unused" "$1"
		serve file "path=$work/unused" --backend "file:path=$1" "${@:3}"
	}
}

# run_examples WAY: ublk, nbd, kbdus-filter, or kbdus, which is within the kernel. All examples, in a
# shell of their own.
run_examples()
(
	trap - EXIT
	programs=${BDUS_BUILD:?}/examples/programs
	[[ -f $programs/hot-cold.o ]] || skip 'the programs were not compiled: no clang with the target bpf'
	# shellcheck source=examples/programs/cases.sh
	. "$(dirname "${BASH_SOURCE[0]}")/../../examples/programs/cases.sh"
	BDUS_TRANSPORT=${1%-filter}
	export BDUS_TRANSPORT
	redefine_for "$1"
	case $1 in
	kbdus-filter) way='over kbdus, as a filter' ;;
	kbdus) way='over kbdus, within the kernel' in_kernel=(--kernel) ;;
	*) way="over $1" ;;
	esac
	run_cases
)
