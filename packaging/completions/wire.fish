# SPDX-License-Identifier: MIT
# fish completion for wire(1). All words come from the command itself ("wire __words").

# The words after "wire" and before the cursor's, without options and their arguments.
function __wire_operands
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
        else if contains -- $word -o -l -s --offset --length --set
            set skip yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __wire_command
    set -l program (commandline -opc)[1]
    $program __words $argv 2>/dev/null
end

function __wire_uses
    contains -- (__wire_operands)[1] $argv
end

function __wire_has
    test (count (__wire_operands)) -eq $argv[1]
end

function __wire_options
    set -l name (__wire_operands)[1]
    test -n "$name"; and __wire_command options $name
end

function __wire_paths
    set -l operands (__wire_operands)
    __wire_command paths $operands[2] $operands[3]
end

complete -c wire -f
complete -c wire -n '__wire_has 0' -a '(__wire_command commands)'
complete -c wire -n 'string match -q -- "-*" (commandline -ct)' -a '(__wire_options)'
complete -c wire -n '__wire_uses dump check edit' -s s -l set -x \
    -a '(__wire_command arguments (__wire_operands)[2])'
complete -c wire -n '__wire_uses dump check edit' -s o -l offset -x
complete -c wire -n '__wire_uses dump check edit' -s l -l length -x
complete -c wire -n '__wire_uses dump check edit; and __wire_has 1' -a '(__wire_command formats)'
complete -c wire -n '__wire_uses dump check edit; and __wire_has 2' -F
complete -c wire -n '__wire_uses edit; and test (count (__wire_operands)) -gt 2' \
    -a '(__wire_paths)'
complete -c wire -n '__wire_uses help' -a '(__wire_command commands)'
