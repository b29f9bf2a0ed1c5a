#!/usr/bin/env bash
# Provides actionlint, which checks the workflows of a forge. See test/assets.sh.
set -euo pipefail

VERSION=1.7.7

name=deploy-assets
programs=(actionlint)
source "$(dirname "$0")/../assets.sh"

if ! have actionlint; then
  say "building actionlint v$VERSION"
  module github.com/rhysd/actionlint "v$VERSION"
  build actionlint github.com/rhysd/actionlint/cmd/actionlint "-X github.com/rhysd/actionlint.version=$VERSION"
fi

finish
