# Sourced by the assets.sh of a folder of tests: provides real programs that tests run against and no package brings.
# They are kept in ${XDG_CACHE_HOME:-$HOME/.cache}/shoal/<name>/<version>/, so that only the first run pays.
#
#   <folder>/assets.sh          builds what is missing, prints the directory
#   <folder>/assets.sh --check  prints the directory when everything is there, else exits 1 at once
#
# The script that sources this has set: name, VERSION (of what it is about), programs. After it, `have`, `say` and `build`
# are there, two runs at once wait for each other, and `finish` is to be called last.

# Debian's Go does not fetch a newer one by itself; some of what is built needs one.
export GOTOOLCHAIN="${GOTOOLCHAIN:-auto}"

assets="${XDG_CACHE_HOME:-$HOME/.cache}/shoal/$name/$VERSION"

say() { echo "$name: $*" >&2; }
have() { [ -x "$assets/$1" ]; }
complete() { for program in "${programs[@]}"; do have "$program" || { say "$program is missing in $assets"; return 1; }; done; }

if [ "${1:-}" = --check ]; then
  complete || exit 1
  echo "$assets"
  exit 0
fi

mkdir -p "$assets"
exec 9>"$assets/.lock"
flock 9 # two runs at once would build twice

work="$(mktemp -d)"
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# module <module> <version>: enters a Go module that requires just that one.
module() {
  mkdir -p "$work/module" && cd "$work/module"
  printf 'module assets\n\ngo 1.24\n\nrequire %s %s\n' "$1" "$2" >go.mod
}

# build <output> <package> <ldflags> [<tags>], in the module the current directory holds; renamed last, so a broken-off build leaves nothing.
build() {
  CGO_ENABLED=0 GOFLAGS=-mod=mod nice -n 19 go build -p "${ASSETS_BUILD_JOBS:-2}" -trimpath -buildvcs=false -tags "${4:-}" -ldflags "-s -w $3" -o "$work/$1" "$2"
  mv "$work/$1" "$assets/$1"
}

finish() {
  complete
  say "ready"
  echo "$assets"
}
