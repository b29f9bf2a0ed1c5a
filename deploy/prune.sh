#!/bin/sh
# Removes from node_modules what a running node never reads: type declarations, source maps, TypeScript sources and
# uWebSockets.js's binaries for other platforms. Licences stay.
#
#   deploy/prune.sh <node_modules>     (with the node of the image on PATH)
set -eu
modules="$1"
binary="$(node -p '`uws_${process.platform}_${process.arch}_${process.versions.modules}.node`')"
[ -f "$modules/uWebSockets.js/dist/bin/$binary" ] || { echo "no $binary in uWebSockets.js" >&2; exit 1; }
find "$modules/uWebSockets.js/dist/bin" -name '*.node' ! -name "$binary" -delete
find "$modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.ts' -o -name '*.mts' -o -name '*.md' ! -iname 'license*' \) -delete
# Nothing but types was in these.
rm -rf "$modules/@types"
find "$modules" -type d -empty -delete
