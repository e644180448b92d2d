#!/usr/bin/env bash
# Print the folder of promtool and prometheus: of the path, or of Debian's package, unpacked once into the cache.
set -euo pipefail
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
    dirname "$(command -v promtool)"
    exit
fi
command -v apt-get >/dev/null || { echo "promtool is missing: install Prometheus from https://prometheus.io" >&2; exit 2; }
package=$(apt-cache show --no-all-versions prometheus | awk '$1 == "Version:" { print $2 }')
[ -n "$package" ] || { echo "Debian's package prometheus is not known here: run apt-get update" >&2; exit 2; }
found=${XDG_CACHE_HOME:-$HOME/.cache}/depthcache-tools/prometheus-${package//[^A-Za-z0-9.+-]/-}
if ! [ -x "$found/usr/bin/promtool" ]; then
    mkdir -p "$(dirname "$found")"
    draft=$(mktemp -d "$found.XXXXXX")
    trap 'rm -rf "$draft"' EXIT
    (cd "$draft" && apt-get -q -o "APT::Sandbox::User=$(id -un)" download prometheus >&2 && dpkg -x ./*.deb . && rm ./*.deb)
    mv -T "$draft" "$found" 2>/dev/null || [ -x "$found/usr/bin/promtool" ]  # another run was faster
fi
echo "$found/usr/bin"
