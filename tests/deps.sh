#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of packaging/deps.debian.
#
#     tests/deps.sh [--ask] [--missing] build|page|run|test ...
#
# --missing: only prints "package<TAB>why" of what is missing, installs nothing.
# --ask: shows what and why, asks before using sudo (needs a terminal). Exit 1 when something stays missing.
set -euo pipefail

list="$(dirname "$0")/../packaging/deps.debian"
ask=no only_missing=no
while [[ "${1:-}" == --* ]]; do
	case "$1" in
	--ask) ask=yes ;;
	--missing) only_missing=yes ;;
	*) echo "deps.sh: $1 is no option" >&2; exit 2 ;;
	esac
	shift
done
[[ $# -gt 0 ]] || { echo "usage: deps.sh [--ask] [--missing] build|page|run|test ..." >&2; exit 2; }

if ! command -v dpkg-query >/dev/null; then
	echo "Skyfall: this is no Debian or Ubuntu: install by hand what packaging/deps.debian lists." >&2
	exit 0
fi

# Every package of the list that is installed, one a line.
# shellcheck disable=SC2016 # dpkg-query's own variables
installed="$(grep -v '^#' "$list" | cut -f1 | tr '|' '\n' | grep -v '^command:' |
	xargs dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' || true)"

is_installed() {
	local name
	for name; do
		[[ "$name" == command:* ]] && command -v "${name#command:}" >/dev/null && return 0
		grep -qx "$name" <<<"$installed" && return 0
	done
	return 1
}

# The first of the names that apt can install, else the first of them.
first_known() {
	local name
	for name; do
		apt-cache show "$name" >/dev/null 2>&1 && echo "$name" && return 0
	done
	echo "$1"
}

missing=() whys=()
while IFS=$'\t' read -r names scope why; do
	[[ -z "$names" || "$names" == \#* || " $* " != *" $scope "* ]] && continue
	# shellcheck disable=SC2086 # split on purpose: the alternatives
	is_installed ${names//|/ } && continue
	# shellcheck disable=SC2086
	missing+=("$(first_known ${names//|/ })")
	whys+=("$why")
done <"$list"

[[ ${#missing[@]} -eq 0 ]] && exit 0
[[ $only_missing == yes ]] || echo "Packages to install (this can take minutes):"
for i in "${!missing[@]}"; do
	printf '%s\t%s\n' "${missing[i]}" "${whys[i]}"
done
[[ $only_missing == yes ]] && exit 1

sudo=()
if [[ $EUID -ne 0 ]]; then
	command -v sudo >/dev/null || { echo "Skyfall: not root and no sudo: please install: ${missing[*]}" >&2; exit 1; }
	sudo=(sudo)
fi
if [[ $ask == yes ]]; then
	if [[ ! -t 0 ]]; then
		echo "Skyfall: please install: ${missing[*]}  (no terminal to ask on; or set SKYFALL_YES=1)" >&2
		[[ -n "${SKYFALL_YES:-}" ]] || exit 1
	else
		read -r -p "Install these ${#missing[@]} packages with ${sudo[*]} apt-get? [Y/n] " answer
		[[ "${answer:-y}" == [Yy]* ]] || exit 1
	fi
fi
# apt-get's status lines (kind:package:percent:...) as one line on the terminal, if there is one.
progress() {
	local kind percent
	declare -A doing=([dlstatus]=fetched [pmstatus]=installed)
	while IFS=: read -r kind _ percent _; do
		[[ ! -t 2 || -z "${doing[${kind:-none}]:-}" ]] || printf '\r  %s %3s %%\033[K' "${doing[$kind]}" "${percent%%.*}" >&2
	done
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
}

"${sudo[@]}" apt-get update -qq
{
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o APT::Status-Fd=1 "${missing[@]}" 2>&1 >&3 | { grep -v '^debconf: delaying package' >&2 || true; }
} 3>&1 | progress
