#!/usr/bin/env bash
# Builds the Vault server that the test of secrets talks to, into $REMORA_TOOLS (or ~/.cache/remora): Vault's own core, key-value store and HTTP API
# over storage in memory (vault/main.go), without the hundred plugins of the whole program. Does nothing where it is there already. Takes minutes, once.
set -euo pipefail
cd "$(dirname "$0")"

target=${REMORA_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/remora}
stamp=$(cat vault/* vault.sh | sha256sum | cut -d" " -f1)
if [ "$(cat "$target/vault.stamp" 2>/dev/null || true)" = "$stamp" ]; then
  echo "Vault is current: $target/bin/vault-in-memory"
  exit 0
fi
command -v go >/dev/null 2>&1 || { echo "go is not installed: it is needed to build Vault" >&2; exit 1; }

mkdir -p "$target/bin"
rm -f "$target/vault.stamp"
cd vault
CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "-s -w" -o "$target/bin/vault-in-memory" .
echo "$stamp" >"$target/vault.stamp"
echo "Vault: $target/bin/vault-in-memory"
