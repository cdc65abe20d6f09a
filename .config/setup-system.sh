#!/usr/bin/env bash
# Installs what a part of the project needs from the machine's own distribution: `lab`, `pdf` or `test`.
# Where it may not (no root, no apt) it says so in one line; that is an error only in CI.
set -euo pipefail

usage() { printf 'setup-system: say what to set up: lab, pdf or test\n' >&2; exit 2; }

case "${1:-}" in
  lab) packages=(systemd-container mmdebstrap iproute2 nftables openssh-client qemu-system-x86 e2fsprogs) ;;
  test) packages=(busybox openssh-client git chromium chromium-driver) ;;
  pdf) packages=(libreoffice-writer-nogui fonts-noto-cjk poppler-utils fontconfig) ;;
  *) usage ;;
esac

installed() {
  command -v dpkg-query >/dev/null 2>&1 \
    && [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  printf 'setup-system: %s needs %s; as root on Debian: apt-get install --no-install-recommends %s\n' \
    "$1" "${missing[*]}" "${missing[*]}" >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi

printf 'setup-system: installing %s\n' "${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt_get() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
# The machine's package lists may be absent or old: try them first, refresh only when that fails.
if ! apt_get install -y --no-install-recommends "${missing[@]}"; then
  if ! { apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; }; then
    tail -n 20 "$log" >&2
    printf 'setup-system: apt-get could not install %s (messages above)\n' "${missing[*]}" >&2
    exit 1
  fi
fi
