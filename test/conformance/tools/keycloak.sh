#!/usr/bin/env bash
# Fetches Keycloak, the OpenID provider that tests of jwt, introspection and login talk to, into $REMORA_TOOLS (or ~/.cache/remora) and prepares
# it for quick starts. Does nothing where it is there already at this version. Needs a Java runtime (17 or later), Maven to fetch it, and unzip or python3.
set -euo pipefail
version=26.7.3
sha256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f

target=${REMORA_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/remora}
home="$target/keycloak-$version"
if [ -f "$home/.ready" ]; then
  echo "Keycloak is current: $home"
  exit 0
fi
for program in java mvn python3; do
  command -v "$program" >/dev/null 2>&1 || { echo "$program is not installed: it is needed for Keycloak" >&2; exit 1; }
done

mkdir -p "$target/bin"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
(cd "$fetched" && mvn -q -B dependency:copy "-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip" "-DoutputDirectory=$fetched")
zip="$fetched/keycloak-quarkus-dist-$version.zip"
echo "$sha256  $zip" | sha256sum --check --quiet
rm -rf "$home"
python3 -m zipfile -e "$zip" "$target"
chmod +x "$home/bin/kc.sh"
# What a start in production mode does once; a start with --optimized then takes seconds.
"$home/bin/kc.sh" build --db=dev-mem --health-enabled=true --http-relative-path=/ >/dev/null
cat >"$target/bin/kc.sh" <<EOF
#!/usr/bin/env bash
exec "$home/bin/kc.sh" "\$@"
EOF
chmod +x "$target/bin/kc.sh"
touch "$home/.ready"
echo "Keycloak: $home"
