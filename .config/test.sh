#!/usr/bin/env bash
# Everything that is tested, in the order in which a failure is cheapest to learn.
set -euo pipefail
cd "$(dirname "$0")/.."
pytest -q tests
for scenario in molecule/*/molecule.yml; do
  molecule test --scenario-name "$(basename "$(dirname "$scenario")")"
done
