#!/bin/sh
# Replaces the cluster secret without splitting the swarm: every node accepts the new secret before
# the first one uses it, and the old one until the last one has changed. Takes three rollouts.
#
#   deploy/rotate-secret.sh [<namespace> [<release>]]     (kubectl and openssl on PATH)
#
# After an interruption, run it again: it continues from the state of the Secret.
set -eu
namespace="${1:-shoal}"
release="${2:-shoal}"
secret="${SECRET:-$release-cluster-secret}"
timeout="${TIMEOUT:-60m}"
mark='# also accepted'

say() { echo "rotate-secret: $*" >&2; }
stored() { kubectl -n "$namespace" get secret "$secret" -o 'jsonpath={.data.secret}' | base64 -d; }
store() {
  patch="$(printf '%s' "$1" | base64 | tr -d '\n')"
  # By stdin: arguments are visible to other users of this machine.
  printf '{"data":{"secret":"%s"}}' "$patch" |
    kubectl -n "$namespace" patch secret "$secret" --type merge --patch-file /dev/stdin >/dev/null
}
roll() {
  for workload in $(kubectl -n "$namespace" get daemonsets,statefulsets \
    -l "app.kubernetes.io/name=shoal,app.kubernetes.io/instance=$release" -o name); do
    # kubectl refuses a second restart within a second.
    sleep 1
    kubectl -n "$namespace" rollout restart "$workload" >/dev/null
    kubectl -n "$namespace" rollout status "$workload" --timeout "$timeout" >/dev/null
  done
}
first() { printf '%s\n' "$1" | sed "/^$mark\$/,\$d"; }
second() { printf '%s\n' "$1" | sed "1,/^$mark\$/d"; }

now="$(stored)"
marker="$(kubectl -n "$namespace" get secret "$secret" -o 'jsonpath={.metadata.annotations.shoal/rotation}')"
note() { kubectl -n "$namespace" annotate --overwrite secret "$secret" "shoal/rotation=$1" >/dev/null; }

case "$marker" in
'' | done)
  say "1 of 3: every node accepts the new secret"
  old="$now"
  new="$(openssl rand -hex 32)"
  store "$old
$mark
$new"
  note accepting
  ;;
accepting) old="$(first "$now")" new="$(second "$now")" ;;
using) old="$(second "$now")" new="$(first "$now")" ;;
*) say "the annotation shoal/rotation of $secret is '$marker'; allowed: accepting, using, done"; exit 1 ;;
esac
if [ "$marker" != using ]; then
  roll
  say "2 of 3: every node uses the new secret, and accepts the old one"
  store "$new
$mark
$old"
  note using
fi
roll
say "3 of 3: no node accepts the old secret"
store "$new"
roll
note 'done'
say "done"
