"""The plan of the rehearsal hospital: addresses, collisions, inventory, what may be cleaned up."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lab import plan
from lab.plan import DEFAULT_HOSTS, HOSTS, SERVER_GROUPS, Lab
from lab.shell import LabError

LAB = Lab.from_environment({})
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)


def test_every_host_has_an_address_of_its_own():
    addresses = {LAB.address(name) for name in HOSTS}
    assert len(addresses) == len(HOSTS)
    assert LAB.gateway not in addresses


@given(NAMES)
def test_a_lab_of_another_name_never_meets_the_usual_one(name: str):
    other = Lab.from_environment({"LAB_NAME": name})
    if name == "lab":
        assert other == LAB
        return
    assert not other.subnet.overlaps(LAB.subnet)
    assert other.bridge != LAB.bridge
    assert other.state != LAB.state
    assert other.keys != LAB.keys


@given(NAMES)
def test_a_bridge_name_is_one_that_linux_takes(name: str):
    assert len(Lab.from_environment({"LAB_NAME": name}).bridge) <= 15


@pytest.mark.parametrize("name", ["Lab", "1lab", "a-b", "../x", "toolongname"])
def test_a_name_that_could_not_be_a_machine_name_is_refused(name: str):
    with pytest.raises(LabError, match="LAB_NAME"):
        Lab.from_environment({"LAB_NAME": name})


@pytest.mark.parametrize("subnet", ["10.0.0.0/8", "8.8.8.0/24", "nonsense", "10.1.2.3/24"])
def test_a_subnet_that_is_no_private_24_is_refused(subnet: str):
    with pytest.raises(LabError, match="LAB_SUBNET"):
        Lab.from_environment({"LAB_SUBNET": subnet})


def test_a_subnet_can_be_chosen():
    lab = Lab.from_environment({"LAB_SUBNET": "10.9.8.0/24"})
    assert lab.address("db1") == "10.9.8.11"


@pytest.mark.parametrize(
    ("used", "clash"),
    [
        ([("eth0", "192.0.2.2/24")], None),
        ([("eth0", "0.0.0.0/0")], None),
        ([("dialysis0", "10.213.77.1/24")], None),
        ([("tun0", "10.213.0.0/16")], ("tun0", "10.213.0.0/16")),
        ([("dialysis0", "10.213.77.0/24"), ("eth1", "10.213.77.200/32")], ("eth1", "10.213.77.200/32")),
    ],
)
def test_a_network_of_this_machine_that_overlaps_is_found(used, clash):
    assert plan.collision(LAB.subnet, LAB.bridge, used) == clash


def test_no_name_means_the_default_hosts_in_the_order_of_the_plan():
    assert plan.check_hosts([]) == [name for name in HOSTS if name in DEFAULT_HOSTS]
    assert plan.check_hosts(["app1", "db1", "app1"]) == ["db1", "app1"]


def test_an_unknown_host_is_refused_with_those_there_are():
    with pytest.raises(LabError, match=r"db9; there are db1"):
        plan.check_hosts(["db9"])


def test_hosts_know_each_other_by_name():
    lines = plan.hosts_file(LAB).splitlines()
    assert "10.213.77.21 backup1.hospital.example backup1" in lines


def test_known_hosts_bind_address_and_name_to_the_key():
    text = plan.known_hosts(LAB, {"db1": "ssh-ed25519 AAAA"})
    assert text == "10.213.77.11,db1 ssh-ed25519 AAAA\n"


def test_an_inventory_holds_only_the_asked_hosts_and_servers_only_groups_that_are_there():
    children = plan.inventory(LAB, ["db1", "standby1"])["all"]["children"]
    assert set(children) == {"database", "standby", "servers"}
    assert list(children["servers"]["children"]) == ["database"]


def test_an_inventory_keeps_host_key_checking_on():
    variables = plan.inventory(LAB, ["db1"])["all"]["children"]["database"]["hosts"]["db1"]
    assert "StrictHostKeyChecking" not in variables["ansible_ssh_common_args"]
    assert str(LAB.known_hosts) in variables["ansible_ssh_common_args"]
    assert variables["ansible_user"] == "engineer"


def test_the_inventory_in_the_repository_is_the_plan():
    path = Path(__file__).parents[2] / "inventories" / "lab" / "hosts.yml"
    groups = yaml.safe_load(path.read_text())["all"]["children"]
    listed = {
        (host, group, variables["ansible_host"])
        for group, content in groups.items()
        for host, variables in (content.get("hosts") or {}).items()
    }
    assert listed == {(host.name, host.group, LAB.address(host.name)) for host in HOSTS.values()}
    assert set(groups["servers"]["children"]) == set(SERVER_GROUPS)
    assert {host for host, group, _ in listed if group in SERVER_GROUPS} == set(DEFAULT_HOSTS)


def test_only_unused_old_trees_of_the_same_release_are_stale():
    cached = ["bookworm-1", "bookworm-2", "bookworm-3", "trixie-1"]
    assert plan.stale_bases(cached, used=["bookworm-2"], newest="bookworm-3") == ["bookworm-1"]


def test_every_lab_subnet_is_a_private_24():
    network = ipaddress.ip_network(plan.default_subnet("anything"))
    assert network.is_private
    assert network.prefixlen == 24
