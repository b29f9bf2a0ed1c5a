#!/usr/bin/env bash
# Provides crane and oras: clients of images, artifacts and referrers that are no container runtimes. See test/assets.sh.
set -euo pipefail

CRANE=0.22.1
ORAS=1.3.6
VERSION=crane-0.22.1-oras-1.3.6

name=artifact-assets
programs=(crane oras)
source "$(dirname "$0")/../assets.sh"

if ! have crane; then
  say "building crane v$CRANE"
  module github.com/google/go-containerregistry "v$CRANE"
  build crane github.com/google/go-containerregistry/cmd/crane ''
fi

if ! have oras; then
  say "building oras v$ORAS"
  module oras.land/oras "v$ORAS"
  build oras oras.land/oras/cmd/oras ''
fi

finish
