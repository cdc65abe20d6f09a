"""Faults are data: complete, for hosts that can have them, and valid bash."""

from __future__ import annotations

import subprocess

import pytest

from lab import faults
from lab.plan import HOSTS
from lab.shell import LabError


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_is_described_and_its_scripts_are_bash(name: str):
    fault = faults.FAULTS[name]
    assert fault.text
    for script in (fault.plant, fault.undo, fault.shows):
        assert subprocess.run(["bash", "-n", "-c", script], capture_output=True, check=False).stderr == b""


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_belongs_to_hosts_that_exist(name: str):
    group = faults.FAULTS[name].group
    assert group == "" or group in {host.group for host in HOSTS.values()}


def test_a_fault_is_refused_where_it_cannot_be():
    with pytest.raises(LabError, match="fault of database hosts"):
        faults.find("bloated_table", "gate1")
    with pytest.raises(LabError, match="vm1 is a virtual machine"):
        faults.find("full_disk", "vm1")


def test_an_unknown_fault_is_refused_with_those_there_are():
    with pytest.raises(LabError, match="no such fault: fire; there are full_disk"):
        faults.find("fire", "db1")
