# SPDX-License-Identifier: MIT
# bash completion for vpnserverd: its options are asked of itself, so they are always those of the installed one.

_vpnserverd() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	case $before in
	--genkey)
		mapfile -t COMPREPLY < <(compgen -W 'secret tls-auth tls-crypt tls-crypt-v2-server tls-crypt-v2-client auth-token' -- "$word")
		return
		;;
	--genpki | --cd | --hub.runtime-dir | --client-config-dir | --tmp-dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "--test-config --genkey --genpki $("${COMP_WORDS[0]}" --help 2>/dev/null |
			sed -n '1,/^Options:/d; s/^\([a-z][a-z0-9.-]*\).*/--\1/p')" -- "$word")
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -F _vpnserverd vpnserverd
