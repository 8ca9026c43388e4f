# SPDX-License-Identifier: MIT
# bash completion for vpnadm: commands and options are asked of itself, names are those of the hubs that run.

_vpnadm() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} dir=/run/vpnserverd i file
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD - 1; i++)); do
		[[ ${COMP_WORDS[i]} == --dir ]] && dir=${COMP_WORDS[i + 1]}
	done
	case $before in
	--dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	--name)
		mapfile -t COMPREPLY < <(compgen -W "$(for file in "$dir"/*.stats; do
			[[ -e $file ]] && basename "$file" .stats
		done)" -- "$word")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "--help $("${COMP_WORDS[0]}" --help 2>/dev/null |
		sed -n 's/^  \([a-z-]*\) .*/\1/p')" -- "$word")
}
complete -F _vpnadm vpnadm
