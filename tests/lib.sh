# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What ./test and ./bench share. Sourced in the root of the tree.

# Two builds: as released, and with the sanitizers (only for unit and replay).
build="build"
build_asan="build-asan"

say() {
	printf '%s\n' "$*"
}

# needs SCOPE...: installs what is missing of packaging/deps.debian.
needs() {
	tests/deps.sh "$@"
}

# meson_build FOLDER [meson option ...]: sets it up once, builds all of it.
meson_build() {
	local folder="$1" said
	shift
	if [[ ! -f "$folder/build.ninja" ]]; then
		said="$(meson setup "$folder" "$@" 2>&1)" || { say "$said"; return 1; }
	elif ! grep -q 'tests/unit/' "$folder/build.ninja"; then # ./run made it
		said="$(meson configure "$folder" -Dtests=true 2>&1)" || { say "$said"; return 1; }
	fi
	said="$(ninja -C "$folder" build.ninja 2>&1)" || { say "$said"; return 1; } # where a meson.build has changed
	say "building $folder"
	ninja -C "$folder" | sed -n '/^ninja: \|^\[/!p; /FAILED/p' | head -60
	return "${PIPESTATUS[0]}"
}

build_plain() {
	needs build page run test && meson_build "$build" -Dbuildtype=debugoptimized
}

build_sanitized() {
	needs build page run test &&
		meson_build "$build_asan" -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
}
