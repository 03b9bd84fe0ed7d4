# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Brings what tests/ui/package-lock.json says into the build folder; sets SKYFALL_BUILD and SKYFALL_UI_NPM. Sourced.
ui="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
SKYFALL_BUILD="$(realpath "${SKYFALL_BUILD:-$ui/../../build}")"
SKYFALL_UI_NPM="$SKYFALL_BUILD/tests/ui"
export SKYFALL_BUILD SKYFALL_UI_NPM
if ! cmp -s "$ui/package-lock.json" "$SKYFALL_UI_NPM/installed"; then
	mkdir -p "$SKYFALL_UI_NPM"
	cp "$ui/package.json" "$ui/package-lock.json" "$SKYFALL_UI_NPM/"
	(cd "$SKYFALL_UI_NPM" && npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error >&2) || {
		echo "not ok - npm cannot bring playwright-core and axe-core; its message is above"
		exit 1
	}
	cp "$ui/package-lock.json" "$SKYFALL_UI_NPM/installed"
fi
