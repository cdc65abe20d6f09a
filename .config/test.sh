#!/usr/bin/env bash
# Everything that is tested, in the order in which a failure is cheapest to learn.
set -euo pipefail
cd "$(dirname "$0")/.."

# A file's tests stay together: many share what is dear to make.
pytest -q --numprocesses=2 --dist=loadfile tests

# Three scenarios at a time, each in a lab of its own, for the hosts wait more than they compute. What one prints is
# shown when it has ended, so that no two mix. The long ones first: none shall be alone at the end.
long="harden_drills inspect rebuild_database harden backup"
printed=$(mktemp -d)
trap 'rm -rf "$printed"' EXIT
export printed
scenario() {
  local began=$SECONDS code=0
  echo "scenario $2: begins"
  mkdir "$printed/$1"
  # A folder of its own for what runs leave there: tests look that nothing is.
  LAB_NAME=mol$1 TMPDIR=$printed/$1 molecule test --scenario-name "$2" > "$printed/$2" 2>&1 || code=$?
  flock "$printed" cat "$printed/$2"
  echo "scenario $2: exit code $code after $((SECONDS - began)) s" | tee -a "$printed/summary"
  return "$code"
}
export -f scenario
printf '%s\n' $long molecule/*/molecule.yml | sed -E 's|molecule/(.*)/molecule.yml|\1|' | awk '!seen[$0]++' | nl -w 1 -s ' ' |
  xargs -n 2 -P 3 bash -c 'scenario "$@"' scenario || failed=$?

# Last, for whoever sees the end alone: how long each took, and what failed.
cat "$printed/summary"
find "$printed" -maxdepth 1 -type f ! -name summary -exec sed 's/\x1b\[[0-9;]*m//g' {} + |
  grep -E '(FAILED|ERROR) tests/|│ +E  ' | tail -n 60 || true
exit "${failed:-0}"
