#!/bin/sh
# The build stage of the Dockerfile by hand, for machines without a Docker engine: /app and /node under <directory>.
#
#   deploy/image-root.sh <directory>     (must not exist; node 22, npm and strip on PATH)
set -eu
root="$1"
here="$(cd "$(dirname "$0")/.." && pwd)"
mkdir "$root"
node --disable-warning=ExperimentalWarning "$here/deploy/release/build.ts" "$root/app" >&2
cd "$root/app"
npm ci --omit=dev --no-audit --no-fund --prefer-offline >&2
sh "$here/deploy/prune.sh" node_modules
strip -o "$root/node" "$(node -p process.execPath)"
