# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for bdus(1). All words come from the command itself ("bdus __words").

# Offers the words of one kind that begin with $current, which __bdus_complete set.
__bdus_words()
{
	local word description
	while IFS=$'\t' read -r word description; do
		[[ $word == "$current"* ]] && COMPREPLY+=("$word")
	done < <("$command" __words "$@" 2>/dev/null)
}

# Offers "$1" followed by each word of a kind.
__bdus_words_after()
{
	local word description before=$1
	shift
	while IFS=$'\t' read -r word description; do
		[[ $before$word == "$current"* ]] && COMPREPLY+=("$before$word")
	done < <("$command" __words "$@" 2>/dev/null)
}

__bdus_files()
{
	local name before=$1
	while IFS= read -r name; do
		[[ -d $name ]] && name+=/
		COMPREPLY+=("$before$name")
	done < <(compgen -f -- "${current#"$before"}")
}

# name[,key=value]…
__bdus_transport()
{
	local name=${current%%,*} last=${current##*,}
	if [[ $current != *,* ]]; then
		__bdus_words transports
	elif [[ $last == *=* ]]; then
		__bdus_words_after "${current%=*}=" transport-values "$name" "${last%%=*}"
		((${#COMPREPLY[@]} == 0)) && __bdus_files "${current%=*}="
	else
		__bdus_words_after "${current%,*}," transport-keys "$name"
	fi
}

__bdus_attached_transport()
{
	local current=${current#--transport=}
	__bdus_transport
	COMPREPLY=("${COMPREPLY[@]/#/--transport=}")
}

__bdus_driver_word()
{
	local key=${current%%=*}
	if [[ -z $driver ]]; then
		__bdus_words drivers
		[[ $current == */* ]] && __bdus_files ''
	elif [[ $current == *=* ]]; then
		__bdus_words_after "$key=" values "$driver" "$key"
		((${#COMPREPLY[@]} == 0)) && __bdus_files "$key="
	else
		__bdus_words keys "$driver"
	fi
}

# DEVICE [LEVEL]
__bdus_log_operand()
{
	case $operands in
	0) __bdus_words devices ;;
	1) __bdus_words levels ;;
	esac
}

# VERB DEVICE FILTER
__bdus_filter_operand()
{
	case $operands in
	0) mapfile -t COMPREPLY < <(compgen -W 'attach detach' -- "$current") ;;
	1) __bdus_words devices ;;
	2) __bdus_words filters ;;
	esac
}

__bdus_complete()
{
	case $previous in
	-t | --transport)
		[[ $name == run || $name == replace || $name == recover ]] && __bdus_transport && return
		;;
	--filter)
		[[ $name == run || $name == replace || $name == recover ]] && __bdus_words filters && return
		;;
	--backend)
		[[ $name == run || $name == replace || $name == recover ]] && __bdus_words drivers && return
		;;
	--log)
		[[ $name == run || $name == replace || $name == recover ]] && __bdus_words levels && return
		;;
	--queues | --depth | --timeout) return ;;
	esac
	if [[ -z $name ]]; then
		__bdus_words commands
	elif [[ $current == --transport=* ]]; then
		__bdus_attached_transport
	elif [[ $current == -* ]]; then
		__bdus_words options "$name"
	else
		case $name in
		run) __bdus_driver_word ;;
		replace | recover) if [[ $device ]]; then __bdus_driver_word; else __bdus_words devices; fi ;;
		drivers) [[ -z $driver ]] && __bdus_driver_word ;;
		info | destroy | flush | resize | stats) __bdus_words devices ;;
		filters) [[ -z $driver ]] && __bdus_words filters ;;
		filter) __bdus_filter_operand ;;
		log) __bdus_log_operand ;;
		check) __bdus_words transports ;;
		help) __bdus_words commands ;;
		esac
	fi
}

# Sets the command's name, the number of operands of "filter" and "log" before the current word, the device that is given another driver, the driver (the first operand
# else), and the word before the current one.
__bdus_read_line()
{
	local word
	local -a words
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] || unset 'words[-1]'
	for word in "${words[@]:1}"; do
		if [[ -z $name ]]; then
			name=$word
		elif [[ $name == filter || $name == log ]]; then
			[[ $word == -* || $previous == --timeout ]] || ((++operands))
		elif [[ $word != -* && -z $driver ]]; then
			case $previous in
			-t | --transport | --filter | --backend | --queues | --depth | --log | --timeout) ;;
			*)
				if [[ ($name == replace || $name == recover) && -z $device ]]; then
					device=$word
				else
					driver=$word
				fi
				;;
			esac
		fi
		previous=$word
	done
}

# readline cuts words at = and : as well, and wants back only what follows the last cut.
__bdus_cut_replies()
{
	local cut=$current
	while [[ -n $cut && $COMP_WORDBREAKS != *"${cut: -1}"* ]]; do
		cut=${cut%?}
	done
	[[ -n $cut ]] && COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}

_bdus()
{
	local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[0]}
	local name='' device='' driver='' previous='' current='' operands=0
	command=${command/#\~/$HOME}
	[[ $line == *[[:space:]] ]] || current=${line##*[[:space:]]}
	COMPREPLY=()
	__bdus_read_line
	__bdus_complete
	if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=/] ]]; then
		compopt -o nospace 2>/dev/null
	fi
	__bdus_cut_replies
}

complete -F _bdus bdus
