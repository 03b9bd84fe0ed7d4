#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings the servers the servers tier starts (pom.xml) and prints the folder their jars are in.
#
#     tests/servers/install.sh
#
# Kept under ~/.cache/skyfall/servers (or $SKYFALL_SERVERS), in a folder named by the pom: another pom is another folder.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="${SKYFALL_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/skyfall/servers}"
jars="$folder/$(sha256sum "$here/pom.xml" | cut -c1-12)"

"$here/../deps.sh" servers >&2
if [[ ! -d "$jars" ]]; then
	mkdir -p "$folder"
	at="$(mktemp -d "$folder/new.XXXXXX")"
	trap 'rm -rf "$at"' EXIT
	mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$at" >&2
	chmod 755 "$at"
	mv -T "$at" "$jars" 2>/dev/null || [[ -d "$jars" ]] # another one was quicker
fi
echo "$jars"
