#!/usr/bin/env bash
# Provides the conformance suite of the OCI distribution specification. See test/assets.sh.
set -euo pipefail

# The specification 1.1's suite as of this day: its module is not tagged.
VERSION=v0.0.0-20260831232431-97274622c111

name=conformance-assets
programs=(conformance)
source "$(dirname "$0")/../assets.sh"

if ! have conformance; then
  say "building the suite $VERSION"
  module github.com/opencontainers/distribution-spec/conformance "$VERSION"
  build conformance github.com/opencontainers/distribution-spec/conformance ''
fi

finish
