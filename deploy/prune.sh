#!/bin/sh
# Removes from node_modules what a running node never reads: type declarations, source maps, TypeScript sources, and
# binaries for other platforms. Licences stay.
#
#   deploy/prune.sh <node_modules> [<arch> <abi>]     (without them: those of the node on PATH)
set -eu
modules="$1"
arch="${2:-$(node -p process.arch)}"
abi="${3:-$(node -p process.versions.modules)}"
binary="uws_linux_${arch}_${abi}.node"
[ -n "$(find "$modules/uWebSockets.js" -name "$binary")" ] || { echo "no $binary in uWebSockets.js" >&2; exit 1; }
find "$modules/uWebSockets.js" -name '*.node' ! -name "$binary" -delete
find "$modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.ts' -o -name '*.mts' -o -name '*.md' ! -iname 'license*' \) -delete
# These directories held only types.
rm -rf "$modules/@types"
# Native parts for another JavaScript engine (Bare), which Node.js never loads.
rm -rf "$modules"/bare-*/prebuilds
# Links to the packages' own commands.
rm -rf "$modules/.bin"
find "$modules" -type d -empty -delete
