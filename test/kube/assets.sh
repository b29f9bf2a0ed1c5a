#!/usr/bin/env bash
# Provides the real programs the Kubernetes tests run against: etcd, kube-apiserver, kube-controller-manager, kubectl, helm, and
# the kubelet's search for credentials (kubelet-keyring.go). The first run takes minutes of processor time.
# KUBEBUILDER_ASSETS, the ecosystem's convention, is honoured first: what it holds is used as it stands. See test/assets.sh.
set -euo pipefail

VERSION=1.34.2
HELM_VERSION=3.19.2

name=kube-assets
programs=(etcd kube-apiserver kube-controller-manager kubectl kubelet-keyring helm)
here="$(cd "$(dirname "$0")" && pwd)"
source "$here/../assets.sh"

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

# Enters a Go module that requires Kubernetes.
kubernetes_module() {
  mkdir -p "$work/kubernetes" && cd "$work/kubernetes"
  [ ! -f go.mod ] || return 0
  local staging="v0.${VERSION#1.}" module
  module="$(GOFLAGS=-mod=mod go mod download -json "k8s.io/kubernetes@v$VERSION" | sed -n 's/^\t*"GoMod": "\(.*\)",*$/\1/p')"
  {
    echo 'module assets'
    sed -n 's/^\(go .*\)$/\1/p' "$module"
    echo "require k8s.io/kubernetes v$VERSION"
    # Its go.mod asks for v0.0.0 of the modules that are released from its own tree; they are published as v0.N.
    sed -n 's/^\t\(k8s\.io\/[a-z0-9-]*\) v0\.0\.0\( .*\)*$/\1/p' "$module" | while read -r name; do
      echo "replace $name => $name $staging"
    done
  } >go.mod
}

minor="${VERSION#1.}"
version=k8s.io/component-base/version
for program in kube-apiserver kube-controller-manager kubectl; do
  if ! have "$program"; then
    say "building $program v$VERSION"
    kubernetes_module
    [ "$program" = kubectl ] || printf 'package assets\n\nimport _ "k8s.io/kubernetes/cmd/%s/app"\n' "$program" >assets.go
    build "$program" "k8s.io/kubernetes/cmd/$program" \
      "-X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*} -X $version.gitVersion=v$VERSION"
    rm -f assets.go
  fi
done

keyring="$here/kubelet-keyring.go"
if ! have kubelet-keyring || ! cmp -s "$keyring" "$assets/kubelet-keyring.go"; then
  say "building kubelet-keyring"
  kubernetes_module
  cp "$keyring" main.go
  build kubelet-keyring . ''
  cp "$keyring" "$assets/kubelet-keyring.go"
fi
cd / && rm -rf "$work/kubernetes"

if ! have helm; then
  if command -v helm >/dev/null; then
    ln -sf "$(command -v helm)" "$assets/helm"
  else
    say "building helm v$HELM_VERSION"
    module helm.sh/helm/v3 "v$HELM_VERSION"
    build helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=v$HELM_VERSION"
  fi
fi

finish
