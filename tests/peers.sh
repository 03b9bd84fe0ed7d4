#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings collectors of others, which ours is read by and measured beside, and prints the folder they are in.
#
#     tests/peers.sh sfcapd|sfacctd|goflow2|readers ...
#
# Kept under ~/.cache/skyfall/peers (or $SKYFALL_PEERS). sfcapd, and nfdump that reads its files, come out of Debian's packages
# without installing these: they would start a daemon.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="${SKYFALL_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/skyfall/peers}"
[[ $# -gt 0 ]] || { sed -n 's/^# \{0,1\}//; 3,5p' "${BASH_SOURCE[0]}" >&2; exit 2; }
mkdir -p "$folder"

sfcapd() {
	local at name
	[[ ! -x "$folder/sfcapd" || ! -x "$folder/nfdump" ]] || return 0
	at="$(mktemp -d)"
	for name in nfdump nfdump-sflow; do
		(cd "$at" && { apt-get download -qq "$name" || { apt-get update -qq && apt-get download -qq "$name"; }; }) 2>/dev/null ||
			{ echo "peers.sh: apt-get cannot download $name" >&2; return 1; }
		dpkg -x "$at/$name"_*.deb "$at"
	done
	mv "$at/usr/bin/sfcapd" "$at/usr/bin/nfdump" "$folder/"
	rm -rf "$at"
}

sfacctd() {
	"$here/deps.sh" peers >&2
	ln -sfn "$(PATH="$PATH:/usr/sbin" type -P sfacctd)" "$folder/sfacctd" # type -P: the program, not this function
}

# Built of Go modules: versions and sums are those of tests/readers/go.mod.
modules() {
	local at
	at="$("$here/readers/install.sh" "$1")"
	ln -sfn "$at/$1" "$folder/$1"
}

for name; do
	case "$name" in
	sfcapd | sfacctd) "$name" ;;
	goflow2 | readers) modules "$name" ;;
	*) echo "peers.sh: $name is none of sfcapd, sfacctd, goflow2, readers" >&2; exit 2 ;;
	esac
done
echo "$folder"
