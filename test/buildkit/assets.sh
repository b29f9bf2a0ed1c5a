#!/usr/bin/env bash
# Provides BuildKit, the client by which `docker build` pulls base images. See test/assets.sh.
set -euo pipefail

VERSION=0.25.2

name=buildkit-assets
programs=(buildctl buildkitd)
source "$(dirname "$0")/../assets.sh"

for program in "${programs[@]}"; do
  have "$program" && continue
  say "building $program v$VERSION"
  module github.com/moby/buildkit "v$VERSION"
  build "$program" "github.com/moby/buildkit/cmd/$program" '' no_containerd_worker
done

finish
