#!/usr/bin/env bash
# Makes .venv from a hash-pinned lock. Safe to run again. No collection is needed so far: what there is
# calls ansible.builtin and our own modules only.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=$1
die() { printf 'setup: %s\n' "$1" >&2; exit 2; }

python=""
for candidate in python3.11 python3; do
  if command -v "$candidate" >/dev/null 2>&1 \
    && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    python=$(command -v "$candidate"); break
  fi
done
[ -n "$python" ] || die "Python 3.11 is missing; on Debian 12: apt-get install python3 python3-venv"

# A network may have a certificate authority of its own: uv is to trust what the machine trusts, as pip does.
export UV_NATIVE_TLS=true UV_SYSTEM_CERTS=true
if command -v uv >/dev/null 2>&1; then
  [ -x .venv/bin/python ] || uv venv -q --python "$python" .venv
  install=(uv pip install -q --python .venv/bin/python)
else
  if [ ! -x .venv/bin/pip ]; then
    "$python" -c 'import ensurepip' 2>/dev/null \
      || die "ensurepip is missing; on Debian 12: apt-get install python3-venv"
    "$python" -m venv .venv || die "python could not make .venv; on Debian 12: apt-get install python3-venv"
  fi
  install=(.venv/bin/python -m pip install -q --disable-pip-version-check)
fi
printf 'setup: installing %s into %s/.venv\n' "$lock" "$PWD"
"${install[@]}" --require-hashes -r "$lock" || die "the packages of $lock could not be installed (messages above)"
# uv lets everybody write to its lock, which an inspection of this machine would rightly report.
[ ! -e .venv/.lock ] || chmod go-w .venv/.lock
