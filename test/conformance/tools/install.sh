#!/usr/bin/env bash
# Builds and installs what `npm run conformance` and `npm run fuzz` run beside Remora, promtool for the check of alerts, and Open Policy Agent, at the versions that
# go.mod, go.sum and requirements.txt pin, into $REMORA_TOOLS (or ~/.cache/remora). Does nothing where they are there already at these versions.
set -euo pipefail
cd "$(dirname "$0")"

target=${REMORA_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/remora}
stamp=$(cat go.mod go.sum promtool/go.mod promtool/go.sum opa/go.mod opa/go.sum requirements.txt install.sh witness/main.go | sha256sum | cut -d" " -f1)
if [ "$(cat "$target/stamp" 2>/dev/null || true)" = "$stamp" ]; then
  echo "tools of conformance and fuzzing are current: $target"
  exit 0
fi

for program in go python3; do
  command -v "$program" >/dev/null 2>&1 || { echo "$program is not installed: it is needed to build the tools of conformance and fuzzing" >&2; exit 1; }
done

mkdir -p "$target/bin"
rm -f "$target/stamp"
GOFLAGS=-mod=readonly GOBIN="$target/bin" go install tool ./witness
# Their dependencies are many and not ours: modules of their own. Takes minutes, once.
for module in promtool opa; do
  (cd "$module" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOBIN="$target/bin" go install tool)
done
# Remora's h11 stays apart from the machine's packages; a folder of its own needs no virtual environment.
python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --require-hashes --target "$target/python" --requirement requirements.txt
echo "$stamp" >"$target/stamp"
echo "tools of conformance and fuzzing: $target"
