#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings the two ClickHouses the store is tested with and prints the folder they are in.
#
#     tests/servers/clickhouse.sh
#
#     18.16/         Debian's server and the libraries it lacks, unpacked and not installed: it would start a daemon
#     today.so       today's engine, a library (npm @chdb/lib-linux-x64-gnu): clickhouse_today.py puts HTTP before it
#
# Kept under ~/.cache/skyfall/clickhouse (or $SKYFALL_CLICKHOUSE).
set -euo pipefail

folder="${SKYFALL_CLICKHOUSE:-${XDG_CACHE_HOME:-$HOME/.cache}/skyfall/clickhouse}"
today=26.5.3
mkdir -p "$folder"
at="$(mktemp -d "$folder/new.XXXXXX")"
trap 'rm -rf "$at"' EXIT

packages() {
	apt-get install --simulate --no-install-recommends clickhouse-server 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p'
}

if [[ ! -d "$folder/18.16" ]]; then
	[[ -n "$(packages)" ]] || apt-get update -qq >&2
	mkdir "$at/root"
	# shellcheck disable=SC2046 # split on purpose
	(cd "$at" && apt-get download -qq $(packages)) >&2 2>/dev/null ||
		{ echo "clickhouse.sh: apt-get cannot download clickhouse-server (Debian 12 has it)" >&2; exit 1; }
	for package in "$at"/*.deb; do
		dpkg -x "$package" "$at/root"
	done
	mv -T "$at/root" "$folder/18.16" 2>/dev/null || [[ -d "$folder/18.16" ]] # another one was quicker
fi
if [[ ! -f "$folder/today-$today.so" ]]; then
	(cd "$at" && npm pack --silent "@chdb/lib-linux-x64-gnu@$today" && tar -xzf ./*.tgz package/libchdb.so) >&2
	mv "$at/package/libchdb.so" "$folder/today-$today.so"
fi
ln -sfn "today-$today.so" "$folder/today.so"
echo "$folder"
