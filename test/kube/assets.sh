#!/usr/bin/env bash
# Provides the real programs the Kubernetes tests run against: etcd, kube-apiserver, helm.
#
#   test/kube/assets.sh          builds what is missing (the first time: some minutes), prints the directory
#   test/kube/assets.sh --check  prints the directory when everything is there, else exits 1 at once
#
# KUBEBUILDER_ASSETS, the ecosystem's convention, is honoured first: what it holds is used as it stands.
# The rest is kept in ${XDG_CACHE_HOME:-$HOME/.cache}/shoal/kube-assets/<version>/, so that only the first run pays.
set -euo pipefail

KUBERNETES_VERSION=1.34.2
HELM_VERSION=3.19.2

assets="${XDG_CACHE_HOME:-$HOME/.cache}/shoal/kube-assets/$KUBERNETES_VERSION"
programs=(etcd kube-apiserver helm)

have() { [ -x "$assets/$1" ]; }
complete() { for program in "${programs[@]}"; do have "$program" || return 1; done; }

if [ "${1:-}" = --check ]; then
  complete || { echo "missing in $assets; run test/kube/assets.sh" >&2; exit 1; }
  echo "$assets"
  exit 0
fi

mkdir -p "$assets"
exec 9>"$assets/.lock"
flock 9 # two runs at once would build twice

work="$(mktemp -d)"
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

say() { echo "kube-assets: $*" >&2; }

# Linked rather than copied: whoever points KUBEBUILDER_ASSETS elsewhere later gets that.
for program in "${programs[@]}"; do
  if ! have "$program" && [ -x "${KUBEBUILDER_ASSETS:-/nonexistent}/$program" ]; then
    ln -sf "$(realpath "$KUBEBUILDER_ASSETS/$program")" "$assets/$program"
  fi
done

# The binary alone: installing Debian's package would also set up and start a system service.
if ! have etcd; then
  if command -v etcd >/dev/null; then
    ln -sf "$(command -v etcd)" "$assets/etcd"
  else
    say "etcd from Debian's package etcd-server"
    (cd "$work" && apt-get download -qq etcd-server && dpkg -x etcd-server_*.deb etcd)
    install -m 755 "$work/etcd/usr/bin/etcd" "$assets/etcd"
  fi
fi

# build <output> <package> <ldflags>, in the module the current directory holds; renamed last, so a broken-off build leaves nothing.
build() {
  CGO_ENABLED=0 GOFLAGS=-mod=mod nice -n 19 go build -p "${KUBE_BUILD_JOBS:-2}" -trimpath -buildvcs=false -ldflags "-s -w $3" -o "$work/$1" "$2"
  mv "$work/$1" "$assets/$1"
}

if ! have kube-apiserver; then
  say "building kube-apiserver v$KUBERNETES_VERSION"
  mkdir -p "$work/apiserver" && cd "$work/apiserver"
  staging="v0.${KUBERNETES_VERSION#1.}"
  module="$(GOFLAGS=-mod=mod go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/^\t*"GoMod": "\(.*\)",*$/\1/p')"
  {
    echo 'module assets'
    sed -n 's/^\(go .*\)$/\1/p' "$module"
    echo "require k8s.io/kubernetes v$KUBERNETES_VERSION"
    # Its go.mod asks for v0.0.0 of the modules that are released from its own tree; they are published as v0.N.
    sed -n 's/^\t\(k8s\.io\/[a-z0-9-]*\) v0\.0\.0\( .*\)*$/\1/p' "$module" | while read -r name; do
      echo "replace $name => $name $staging"
    done
  } >go.mod
  printf 'package assets\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver/app"\n' >assets.go
  minor="${KUBERNETES_VERSION#1.}"
  version=k8s.io/component-base/version
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver \
    "-X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*} -X $version.gitVersion=v$KUBERNETES_VERSION"
  cd / && rm -rf "$work/apiserver"
fi

if ! have helm; then
  if command -v helm >/dev/null; then
    ln -sf "$(command -v helm)" "$assets/helm"
  else
    say "building helm v$HELM_VERSION"
    mkdir -p "$work/helm-module" && cd "$work/helm-module"
    printf 'module assets\n\ngo 1.24\n\nrequire helm.sh/helm/v3 v%s\n' "$HELM_VERSION" >go.mod
    build helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=v$HELM_VERSION"
  fi
fi

say "ready"
echo "$assets"
