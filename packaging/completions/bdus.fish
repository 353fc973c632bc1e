# SPDX-License-Identifier: MIT
# fish completion for bdus(1). All words come from the command itself ("bdus __words").

# The words after "bdus" and before the cursor's, without options and their arguments.
function __bdus_operands
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
        else if contains -- $word -t --transport --filter --backend --queues --depth --log --timeout
            set skip yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __bdus_command
    set -l program (commandline -opc)[1]
    $program __words $argv 2>/dev/null
end

function __bdus_needs_command
    test (count (__bdus_operands)) -eq 0
end

function __bdus_uses
    contains -- (__bdus_operands)[1] $argv
end

# Each word of a kind with "$argv[1]" before it.
function __bdus_words_after
    for line in (__bdus_command $argv[2..-1])
        echo $argv[1]$line
    end
end

function __bdus_options
    set -l name (__bdus_operands)[1]
    test -n "$name"; and __bdus_command options $name
end

# Whether the device is still to be named that gets another driver.
function __bdus_lacks_device
    __bdus_uses replace recover; and test (count (__bdus_operands)) -lt 2
end

# DRIVER, then KEY=VALUE.
function __bdus_driver_words
    set -l operands (__bdus_operands)
    __bdus_uses replace recover; and set -e operands[2]
    set -l current (commandline -ct)
    if test (count $operands) -lt 2
        __bdus_command drivers
        string match -q -- '*/*' $current; and __fish_complete_path $current
    else if string match -q -- '*=*' $current
        set -l key (string split -m 1 -- = $current)[1]
        set -l words (__bdus_words_after "$key=" values $operands[2] $key)
        if test (count $words) -gt 0
            printf '%s\n' $words
        else
            __bdus_paths_after "$key="
        end
    else
        __bdus_command keys $operands[2]
    end
end

function __bdus_paths_after
    set -l rest (string sub -s (math 1 + (string length -- $argv[1])) -- (commandline -ct))
    for path in $rest*
        test -d $path; and set path $path/
        echo $argv[1]$path
    end
end

# NAME[,KEY=VALUE]…
function __bdus_transport_words
    set -l current (commandline -ct | string replace -r '^--transport=' '')
    set -l parts (string split -- , $current)
    if test (count $parts) -lt 2
        __bdus_command transports
        return
    end
    set -l before (string join -- , $parts[1..-2]),
    if string match -q -- '*=*' $parts[-1]
        set -l key (string split -m 1 -- = $parts[-1])[1]
        set -l words (__bdus_words_after "$before$key=" transport-values $parts[1] $key)
        if test (count $words) -gt 0
            printf '%s\n' $words
        else
            __bdus_paths_after "$before$key="
        end
    else
        __bdus_words_after $before transport-keys $parts[1]
    end
end

complete -c bdus -f
complete -c bdus -n __bdus_needs_command -a '(__bdus_command commands)'
complete -c bdus -n 'string match -q -- "-*" (commandline -ct)' -a '(__bdus_options)'
complete -c bdus -n '__bdus_uses run replace recover' -s t -l transport -x -a '(__bdus_transport_words)'
complete -c bdus -n '__bdus_uses run replace recover' -l filter -x -a '(__bdus_command filters)'
complete -c bdus -n '__bdus_uses run replace recover' -l backend -x -a '(__bdus_command drivers)'
complete -c bdus -n '__bdus_uses run replace recover' -l log -x -a '(__bdus_command levels)'
complete -c bdus -n '__bdus_uses run' -l queues -x
complete -c bdus -n '__bdus_uses run' -l depth -x
complete -c bdus -n '__bdus_uses destroy filter flush log replace recover resize stats' -l timeout -x
complete -c bdus -n '__bdus_uses stats' -l metrics -rF
complete -c bdus -n '__bdus_uses top' -l interval -x
complete -c bdus -n '__bdus_uses top' -l count -x
complete -c bdus -n '__bdus_uses run' -a '(__bdus_driver_words)'
complete -c bdus -n __bdus_lacks_device -a '(__bdus_command devices)'
complete -c bdus -n '__bdus_uses replace recover; and not __bdus_lacks_device' -a '(__bdus_driver_words)'
complete -c bdus -n '__bdus_uses drivers' -a '(__bdus_command drivers)'
complete -c bdus -n '__bdus_uses filters' -a '(__bdus_command filters)'
complete -c bdus -n '__bdus_uses info destroy flush resize stats' -a '(__bdus_command devices)'
complete -c bdus -n '__bdus_uses filter; and test (count (__bdus_operands)) -eq 1' -a 'attach detach'
complete -c bdus -n '__bdus_uses filter; and test (count (__bdus_operands)) -eq 2' -a '(__bdus_command devices)'
complete -c bdus -n '__bdus_uses filter; and test (count (__bdus_operands)) -eq 3' -a '(__bdus_command filters)'
complete -c bdus -n '__bdus_uses log; and test (count (__bdus_operands)) -eq 1' -a '(__bdus_command devices)'
complete -c bdus -n '__bdus_uses log; and test (count (__bdus_operands)) -eq 2' -a '(__bdus_command levels)'
complete -c bdus -n '__bdus_uses check' -a '(__bdus_command transports)'
complete -c bdus -n '__bdus_uses help' -a '(__bdus_command commands)'
