#!/usr/bin/env bash
# Installs the Debian packages that the build needs and that are missing. Nothing to do: no output.
#   scripts/install_packages.sh [PACKAGE...]    more packages than the build's own
set -euo pipefail

packages=(g++ cmake ninja-build git libjpeg62-turbo-dev libpng-dev zlib1g-dev libdeflate-dev libcli11-dev
          nlohmann-json3-dev libstb-dev libxxhash-dev catch2 "$@")
if ! command -v dpkg-query >/dev/null; then
  echo "This is not a Debian system: install the equivalents of ${packages[*]} yourself." >&2
  exit 0
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qx "installed $package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
