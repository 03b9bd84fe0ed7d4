#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings what others wrote in Go to read sFlow, and prints the folder it is in: goflow2, readers (main.go). What is fetched and
# built stays in ~/.cache/skyfall/readers; nothing is done twice. tests/peers.sh brings these and the others.
#
#     tests/readers/install.sh [goflow2|readers ...]     both, when none is named
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/skyfall/readers"
toolchain=v0.0.1-go1.25.5.linux-$(dpkg --print-architecture 2>/dev/null || echo amd64)
[[ $# -gt 0 ]] || set -- goflow2 readers

# The folder's name holds what is built: a change of the versions or of main.go makes another one.
key="$(cat "$here"/go.mod "$here"/go.sum "$here"/*.go | sha256sum | cut -c1-16)"
to="$cache/$key"
mkdir -p "$to"
exec 9>"$cache/lock"
flock 9

missing=()
for program; do
	[[ -x "$to/$program" ]] || missing+=("$program")
done
if [[ ${#missing[@]} -eq 0 ]]; then
	echo "$to"
	exit 0
fi

export GOPATH="$cache/go" GOCACHE="$cache/build" CGO_ENABLED=0 GO111MODULE=on GOWORK=off
export GOFLAGS="-modcacherw -mod=readonly -trimpath -buildvcs=false"

command -v go >/dev/null || "$here/../deps.sh" peers >&2
go=go
if [[ "$(go env GOVERSION)" =~ ^go1\.([0-9]+) && ${BASH_REMATCH[1]} -lt 21 ]]; then
	# From 1.21 on go fetches the version that go.mod asks for by itself. An older one fetches it as a module like any other.
	mkdir -p "$cache/bootstrap"
	[[ -f "$cache/bootstrap/go.mod" ]] || printf 'module bootstrap\n' >"$cache/bootstrap/go.mod"
	(cd "$cache/bootstrap" && go mod download "golang.org/toolchain@$toolchain") >&2
	root="$GOPATH/pkg/mod/golang.org/toolchain@$toolchain"
	chmod +x "$root"/bin/* "$root"/pkg/tool/*/*
	export GOROOT="$root"
	go="$root/bin/go"
fi

cd "$here"
for program in "${missing[@]}"; do
	case "$program" in
	goflow2) package=github.com/netsampler/goflow2/v2/cmd/goflow2 ;;
	readers) package=. ;;
	*) echo "install.sh: $program is not known" >&2; exit 2 ;;
	esac
	"$go" build -o "$to/$program.new" "$package" >&2
	mv "$to/$program.new" "$to/$program"
done
echo "$to"
