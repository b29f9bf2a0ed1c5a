#!/usr/bin/env bash
# Provides the containerd of today beside Debian's: containerd and ctr, for tests that pull. See test/assets.sh.
set -euo pipefail

VERSION=2.4.2

name=containerd-assets
programs=(containerd ctr)
source "$(dirname "$0")/../assets.sh"

for program in "${programs[@]}"; do
  have "$program" && continue
  say "building $program v$VERSION"
  module github.com/containerd/containerd/v2 "v$VERSION"
  # Kubernetes' plugin is half of it and nothing here talks to it; the snapshotters left out want kernels of their own.
  build "$program" "github.com/containerd/containerd/v2/cmd/$program" "-X github.com/containerd/containerd/v2/version.Version=v$VERSION" no_cri,no_btrfs,no_devmapper,no_zfs
done

finish
