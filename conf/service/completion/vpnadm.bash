# SPDX-License-Identifier: MIT
# bash completion for vpnadm: commands, options and columns are asked of itself, names are those of the hubs, clients and
# workers that are there.

# The line of words and options below a command in the help.
_vpnadm_usage() {
	"${COMP_WORDS[0]}" --help 2>/dev/null | sed -n "/^  $1 /{n;s/^             //p}"
}

# What vpnadm shows of this very hub.
_vpnadm_ask() {
	"${COMP_WORDS[0]}" "${hub[@]}" "$@" --json 2>/dev/null
}

_vpnadm_clients() {
	local name
	while IFS= read -r name; do
		[[ $name == "$word"* ]] && COMPREPLY+=("$(printf %q "$name")")
	done < <(_vpnadm_ask clients | sed -n 's/^ *"name": "\(..*\)",$/\1/p')
}

_vpnadm() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} dir=/run/vpnserverd i file command="" usage=""
	local words=0 hub=()
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--dir | --name)
			((i + 1 < COMP_CWORD)) && hub+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
			[[ ${COMP_WORDS[i]} == --dir ]] && ((i + 1 < COMP_CWORD)) && dir=${COMP_WORDS[i + 1]}
			((++i))
			;;
		-*) ;;
		*) [[ $command ]] && ((++words)) || command=${COMP_WORDS[i]} ;;
		esac
	done
	case $before in
	--dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	--name)
		mapfile -t COMPREPLY < <(compgen -W "$(for file in "$dir"/*.stats "$dir"/*.events; do
			file=${file##*/}
			[[ $file == \** ]] || echo "${file%.*}"
		done | sort -u)" -- "$word")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" "$command" --sort '' 2>&1 |
			sed -n 's/.*wanted: //p')" -- "$word")
		return
		;;
	--client)
		_vpnadm_clients
		return
		;;
	esac
	[[ $command ]] && usage=$(_vpnadm_usage "$command")
	if [[ $command && $word != -* && $words == 0 ]]; then
		case " $usage" in
		*" CLIENT"* | *" NAME|"*) [[ $usage == *"--client CLIENT"* ]] || _vpnadm_clients ;;
		*" WORKER"*) mapfile -t COMPREPLY < <(compgen -W "$(_vpnadm_ask workers |
			sed -n 's/^ *"worker": \([0-9]*\),$/\1/p')" -- "$word") ;;
		esac
		[[ ${#COMPREPLY[@]} -gt 0 ]] && return
	fi
	mapfile -t COMPREPLY < <(compgen -W "--help $(if [[ $command ]]; then
		echo --name --dir --json
		grep -o -e '--[a-z-]*' <<<"$usage"
	else
		"${COMP_WORDS[0]}" --help 2>/dev/null | sed -n 's/^  \([a-z-]*\) .*/\1/p'
	fi)" -- "$word")
}
complete -F _vpnadm vpnadm
