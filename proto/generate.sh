#!/usr/bin/env bash
# Generates TypeScript for every .proto of the repository: the wire contract and each policy kind's own message.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
opts="env=node,esModuleInterop=true,enumsAsLiterals=true,importSuffix=.ts,oneof=unions-value,forceLong=bigint,outputIndex=false,removeEnumPrefix=false"
rm -rf proto/gen && mkdir -p proto/gen
protoc --plugin=node_modules/.bin/protoc-gen-ts_proto --ts_proto_out=proto/gen \
  --ts_proto_opt="$opts,outputServices=grpc-js" -I proto $(find proto/remora -name '*.proto' | sort)
for file in libs/policies/*/*.proto; do
  dir=$(dirname "$file")
  rm -rf "$dir/gen" && mkdir -p "$dir/gen"
  protoc --plugin=node_modules/.bin/protoc-gen-ts_proto --ts_proto_out="$dir/gen" --ts_proto_opt="$opts,outputServices=false" \
    -I "$dir" "$(basename "$file")"
done
