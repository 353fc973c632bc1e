# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for wire(1). All words come from the command itself ("wire __words").

# Offers the words of one kind that begin with $current, after $before.
__wire_words()
{
	local word description
	while IFS=$'\t' read -r word description; do
		[[ $before$word == "$current"* ]] && COMPREPLY+=("$before$word")
	done < <("$command" __words "$@" 2>/dev/null)
}

__wire_files()
{
	local name
	while IFS= read -r name; do
		[[ -d $name ]] && name+=/
		COMPREPLY+=("$name")
	done < <(compgen -f -- "$current")
}

# Sets the command's name, the operands, and the word before the current one.
__wire_read_line()
{
	local word
	local -a words
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] || unset 'words[-1]'
	for word in "${words[@]:1}"; do
		if [[ -z $name ]]; then
			name=$word
		elif [[ $word != -* && ! $previous =~ ^(-[ols]|--(offset|length|set))$ ]]; then
			operands+=("$word")
		fi
		previous=$word
	done
}

__wire_complete()
{
	local before=''
	case $previous in
	-s | --set) __wire_words arguments "${operands[0]-}" && return ;;
	-o | -l | --offset | --length) return ;;
	esac
	if [[ -z $name ]]; then
		__wire_words commands
	elif [[ $current == --set=* ]]; then
		before=--set=
		__wire_words arguments "${operands[0]-}"
	elif [[ $current == -* ]]; then
		__wire_words options "$name"
	elif [[ $name == help ]]; then
		__wire_words commands
	elif [[ $name != dump && $name != check && $name != edit ]]; then
		return
	elif ((${#operands[@]} == 0)); then
		__wire_words formats
	elif ((${#operands[@]} == 1)); then
		__wire_files
	elif [[ $name == edit ]]; then
		__wire_words paths "${operands[0]}" "${operands[1]}"
	fi
}

# readline cuts words at = and : as well, and wants back only what follows the last cut.
__wire_cut_replies()
{
	local cut=$current
	while [[ -n $cut && $COMP_WORDBREAKS != *"${cut: -1}"* ]]; do
		cut=${cut%?}
	done
	[[ -n $cut ]] && COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}

_wire()
{
	local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[0]}
	local name='' previous='' current=''
	local -a operands=()
	command=${command/#\~/$HOME}
	[[ $line == *[[:space:]] ]] || current=${line##*[[:space:]]}
	COMPREPLY=()
	__wire_read_line
	__wire_complete
	if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=/] ]]; then
		compopt -o nospace 2>/dev/null
	fi
	__wire_cut_replies
}

complete -F _wire wire
