#!/usr/bin/env bash
# Builds the Consul agent that the tests of discovery talk to, into $REMORA_TOOLS (or ~/.cache/remora). Does nothing where it is there already at
# this version. Its module cannot be installed by itself, because it replaces parts of itself by folders: the module in ./consul requires it
# and what it needs, at fixed hashes, and takes its main.go. Takes minutes, once.
set -euo pipefail
cd "$(dirname "$0")"

target=${REMORA_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/remora}
stamp=$(cat consul/go.mod consul/go.sum consul.sh | sha256sum | cut -d" " -f1)
if [ "$(cat "$target/consul.stamp" 2>/dev/null || true)" = "$stamp" ]; then
  echo "Consul is current: $target/bin/consul"
  exit 0
fi
command -v go >/dev/null 2>&1 || { echo "go is not installed: it is needed to build Consul" >&2; exit 1; }

mkdir -p "$target/bin"
rm -f "$target/consul.stamp"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp consul/go.mod consul/go.sum "$work"
cd "$work"
export CGO_ENABLED=0 GOFLAGS=-mod=readonly
go mod download github.com/hashicorp/consul
install -m 644 "$(go list -m -f '{{.Dir}}' github.com/hashicorp/consul)/main.go" main.go
go build -trimpath -ldflags "-s -w" -o "$target/bin/consul" .
echo "$stamp" >"$target/consul.stamp"
echo "Consul: $target/bin/consul"
