#!/usr/bin/env bash
# What `make test` has no room for, a quarter of an hour of its own: the faults of a rebuild, and the return to the old
# machine with its interruptions, in one lab (before the rebuild, the rebuild itself, after it); audit rules that are fixed
# until the next start, on a virtual machine.
set -euo pipefail
cd "$(dirname "$0")/.."

export LAB_NAME=long
trap 'python -m lab.site down' EXIT
python -m lab.site up db1,standby1,backup1,app1,gate1 --without-pdf --without-backups
export ANSIBLE_CONFIG=$PWD/ansible.cfg
(cd molecule/harden_drills && pytest -q -p no:cacheprovider tests/long_machine.py)
cd molecule/rebuild_database
pytest -q -p no:cacheprovider --durations=20 \
  tests/long_faults.py tests/test_rebuild.py tests/long_return.py
