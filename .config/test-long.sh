#!/usr/bin/env bash
# The faults of a rebuild, and the return to the old machine with its interruptions: a quarter of an hour of their own, which
# `make test` has no room for. In one lab: before the rebuild, the rebuild itself, after it.
set -euo pipefail
cd "$(dirname "$0")/.."

export LAB_NAME=long
trap 'python -m lab.site down' EXIT
python -m lab.site up db1,standby1,backup1,app1,gate1 --without-pdf --without-backups
cd molecule/rebuild_database
ANSIBLE_CONFIG=$PWD/../../ansible.cfg pytest -q -p no:cacheprovider --durations=20 \
  tests/long_faults.py tests/test_rebuild.py tests/long_return.py
