#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings collectors of others, which ours is read by and measured beside, and prints the folder they are in.
#
#     tests/peers.sh sfcapd|sfacctd|goflow2 ...
#
# Kept under ~/.cache/skyfall/peers (or $SKYFALL_PEERS). sfcapd, and nfdump that reads its files, come out of Debian's packages
# without installing these: they would start a daemon.
set -euo pipefail

GOFLOW2=github.com/netsampler/goflow2/v2/cmd/goflow2@v2.2.6
GO_MINOR=23 # goflow2 wants Go 1.23

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

# The first Go that is new enough.
go_command() {
	local go version
	for go in go /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
		version="$(command -v "$go" >/dev/null && GOTOOLCHAIN=local "$go" env GOVERSION | cut -d. -f2)" || continue
		[[ "$version" -lt "$GO_MINOR" ]] || { echo "$go"; return 0; }
	done
	echo "peers.sh: goflow2 needs Go 1.$GO_MINOR or newer (golang-1.$GO_MINOR, or https://go.dev/dl)" >&2
	return 1
}

goflow2() {
	local go
	[[ ! -x "$folder/${GOFLOW2##*@}/goflow2" ]] || return 0
	go="$(go_command)"
	GOBIN="$folder/${GOFLOW2##*@}" "$go" install "$GOFLOW2" >&2
	ln -sf "${GOFLOW2##*@}/goflow2" "$folder/goflow2"
}

for name; do
	case "$name" in
	sfcapd | sfacctd | goflow2) "$name" ;;
	*) echo "peers.sh: $name is none of sfcapd, sfacctd, goflow2" >&2; exit 2 ;;
	esac
done
echo "$folder"
