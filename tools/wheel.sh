#!/usr/bin/env bash
# Build the release wheel. On Linux it is linked against glibc 2.17 (manylinux2014), so it installs on Debian 12, RHEL 8
# and 9, Amazon Linux 2 and 2023, whichever glibc the build machine has.
#   tools/wheel.sh FOLDER_OF_MATURIN FOLDER_FOR_THE_WHEEL
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
out=$2
flags=()
if [ "$(uname -s)" = Linux ] && getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
    flags=(--zig --compatibility manylinux2014)
fi
rm -rf "$out"
PATH="$PWD/$bin:$PATH" "$bin/maturin" build --release --locked ${flags[@]+"${flags[@]}"} --out "$out"
