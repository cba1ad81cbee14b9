"""The scripts that `completion` prints, one per shell; their protocol is described in its module."""

# bash splits words at the characters of COMP_WORDBREAKS (`:` and `=` among them) and replaces only the last piece ($2).
# Descriptions are shown in listings only (COMP_TYPE `?` and `!`), where bash inserts no single candidate.
BASH = r"""_hf_proxy() {
    local line=${COMP_LINE:0:COMP_POINT} kind word about typed begin piece IFS=$' \t\n'
    local -a words answer
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    typed=${words[-1]} COMPREPLY=()
    mapfile -t answer < <(command hf-proxy completion --next "${words[@]}" 2>/dev/null)
    kind=${answer[0]}
    for piece in "${answer[@]:1}"; do
        IFS=$'\t' read -r word about <<<"$piece"
        word=${word#"${typed%"$2"}"}
        [[ $about && ${#answer[@]} -gt 2 && ( $COMP_TYPE == 63 || $COMP_TYPE == 33 ) ]] && word+="  ($about)"
        COMPREPLY+=("$word")
    done
    case $kind in
    files)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$2")
        ;;
    command*)
        begin=${kind#command }
        if ((begin < ${#words[@]} - 1)) && declare -F _command_offset >/dev/null; then
            piece=0
            for word in "${words[@]:0:begin}"; do
                about=
                while [[ $about != "$word" ]] && ((piece < COMP_CWORD)); do about+=${COMP_WORDS[piece++]}; done
            done
            _command_offset "$piece"
        elif ((begin < ${#words[@]} - 1)); then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$2")
        elif [[ ! ${COMPREPLY[*]} ]]; then
            mapfile -t COMPREPLY < <(compgen -c -- "$2")
        fi
        ;;
    esac
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:/=] ]] && compopt -o nospace
}
complete -F _hf_proxy hf-proxy
"""

ZSH = r"""_hf_proxy() {
    local -a answer ready open
    local line word kind about
    answer=("${(@f)$(command hf-proxy completion --next "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
    kind=$answer[1]
    for line in "${(@)answer[2,-1]}"; do
        word=${line%%$'\t'*} about=${line#*$'\t'}
        word=${word//:/\\:}${about:+:$about}
        if [[ ${line%%$'\t'*} == *[:/=] ]]; then open+=("$word"); else ready+=("$word"); fi
    done
    case $kind in
    files) _files; return ;;
    command*)
        if ((CURRENT > ${kind#command } + 1)) || ! (($#ready)); then
            shift "${kind#command }" words
            ((CURRENT -= ${kind#command }))
            _normal
            return
        fi
        ;;
    esac
    (($#ready)) && _describe -V 'hf-proxy' ready
    (($#open)) && _describe -V 'hf-proxy' open -S ''
    (($#ready + $#open))
}
compdef _hf_proxy hf-proxy
"""

FISH = r"""function __hf_proxy
    set -l words (commandline -opc) (commandline -ct)
    set -l answer (command hf-proxy completion --next $words 2>/dev/null)
    set -l kind (string split ' ' -- $answer[1])
    switch "$kind[1]"
        case files
            __fish_complete_path (commandline -ct)
        case command
            if test (count $words) -gt (math $kind[2] + 1)
                complete -C (string join ' ' -- (string escape -- $words[(math $kind[2] + 1)..-2]) (commandline -ct))
            else
                string join \n -- $answer[2..-1]
                complete -C (commandline -ct)
            end
        case '*'
            string join \n -- $answer[2..-1]
    end
end
complete -c hf-proxy -f -k -a '(__hf_proxy)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
