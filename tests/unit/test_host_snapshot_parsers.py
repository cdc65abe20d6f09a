"""Parsers of hardware, storage, network and time, on real outputs of Debian 12 and on written ones of others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import (
    snapshot_disks,
    snapshot_history,
    snapshot_network,
    snapshot_processes,
    snapshot_storage,
    snapshot_system,
    snapshot_time,
)
from ansible.module_utils.snapshot_host import Host, UnreadError
from hypothesis import given
from hypothesis import strategies as st

EVERYWHERE = "0.0.0.0"  # noqa: S104  (compared, never bound)
FIXTURES = Path(__file__).parent.parent / "fixtures" / "host_snapshot"


def debian(name: str) -> str:
    """An output recorded on a Debian 12 host of the lab."""
    return (FIXTURES / "debian12" / name).read_text()


def elsewhere(name: str) -> str:
    """An output written by hand after another system's; its first line says so."""
    text = (FIXTURES / "elsewhere" / name).read_text()
    assert "Written by hand" in text.splitlines()[0]
    return text


@pytest.mark.parametrize(
    "release, family, name",
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "debian", "debian-12"),
        ({"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_ID": "24.04"}, "debian", "ubuntu-24.04"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.4"}, "redhat", "rocky-9"),
        ({"ID": "openEuler", "VERSION_ID": "22.03"}, "redhat", "openEuler-22.03"),
        ({"ID": "kylin", "VERSION_ID": "V10"}, "redhat", "kylin-V10"),
        ({"ID": "opensuse-leap", "VERSION_ID": "15.6"}, "suse", "opensuse-leap-15"),
        ({"ID": "new", "ID_LIKE": "suse opensuse"}, "suse", None),
        ({}, None, None),
    ],
)
def test_a_release_and_its_family_are_known(
    release: dict[str, str], family: str | None, name: str | None
) -> None:
    assert snapshot_system.family(release) == family
    assert snapshot_system.release_name(release) == name


def test_taints_tell_of_faults_and_not_of_licences() -> None:
    assert snapshot_system.taints(1 | 1 << 12) == []
    assert snapshot_system.taints(1 << 7 | 1 << 14) == ["kernel died (oops or bug)", "soft lockup"]


def test_processors_are_counted() -> None:
    found = snapshot_system.parse_cpuinfo(debian("cpuinfo.txt"))
    assert found == {
        "logical": 2,
        "cores": 2,
        "sockets": 1,
        "model": "Intel(R) Xeon(R) Processor",
        "hypervisor": True,
    }


def test_an_arm_processor_says_less() -> None:
    text = "processor\t: 0\nBogoMIPS\t: 200.00\nFeatures\t: fp asimd\n\nprocessor\t: 1\nBogoMIPS\t: 200.00\n"
    assert snapshot_system.parse_cpuinfo(text) == {"logical": 2, "hypervisor": False}


def test_memory_that_is_used_is_what_no_program_could_get() -> None:
    found = snapshot_system.parse_meminfo(debian("meminfo.txt"))
    assert found["total_bytes"] > found["available_bytes"] > 0
    assert found["used_percent"] == round(100 - 100 * found["available_bytes"] / found["total_bytes"], 2)
    assert found["swap_total_bytes"] == 0
    assert "swap_used_percent" not in found  # there is no share of nothing


def test_pressure_is_read() -> None:
    found = snapshot_system.parse_pressure(debian("pressure_io.txt"))
    assert set(found) == {f"{kind}_avg{n}_percent" for kind in ("some", "full") for n in (10, 60, 300)}


def test_a_process_name_may_hold_blanks_and_parentheses() -> None:
    numbers = " ".join(str(number) for number in range(4, 53))
    found = snapshot_processes.parse_stat(f"7 (a) R (b c)) S {numbers}\n")
    assert (found["pid"], found["name"], found["state"]) == (7, "a) R (b c)", "S")
    assert (found["parent"], found["ticks"], found["ticks_of_children"]) == (4, 14 + 15, 16 + 17)
    assert (found["threads"], found["start"]) == (20, 22)


def test_the_snapshots_own_work_is_taken_out_of_the_load() -> None:
    before = dict.fromkeys(("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"), 100)
    after = before | {"user": 140, "idle": 160}
    assert snapshot_processes.processor_shares(before, after)["busy_percent"] == 40.0
    assert snapshot_processes.processor_shares(before, after, own=30)["busy_percent"] == 10.0
    assert snapshot_processes.processor_shares(before, after, own=99)["busy_percent"] == 0.0
    assert snapshot_processes.processor_shares(before, before) == {}


def test_peaks_of_days_are_read_from_sysstats_records() -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for name, at, value in snapshot_history.samples(debian("sadf.csv"), 24_000_000):
        found.setdefault(name, []).append((at, value))
    assert set(found) == {
        "processor_busy",
        "processor_iowait",
        "memory_used",
        "disk vda",
        "disk loop0",
        "disk loop1",
    }
    assert [round(value, 2) for _at, value in found["processor_busy"]] == [1.5, 1.01, 2.48]
    assert snapshot_history.summary(found["processor_busy"]) == {
        "mean_percent": 1.66,
        "usual_peak_percent": 2.48,
        "peak_percent": 2.48,
        "peak_at": "2026-11-23T01:07:39Z",
    }


def test_the_usual_peak_is_not_the_one_outlier() -> None:
    values = [(float(second), 10.0) for second in range(99)] + [(99.0, 100.0)]
    found = snapshot_history.summary(values)
    assert (found["usual_peak_percent"], found["peak_percent"]) == (10.0, 100.0)


def test_without_sysstat_there_is_no_history(tmp_path: Path) -> None:
    assert snapshot_history.history(Host(root=str(tmp_path))) == {"installed": False}


def test_rates_of_a_disk_come_from_two_readings() -> None:
    first = snapshot_disks.parse_diskstats(debian("diskstats.txt"))["vda"]
    last = first | {"writes": first["writes"] + 50, "write_ms": first["write_ms"] + 200}
    last |= {"written_sectors": first["written_sectors"] + 2000, "busy_ms": first["busy_ms"] + 100}
    assert snapshot_processes.disk_rates(first, last, 0.25) == {
        "reads_per_second": 0.0,
        "writes_per_second": 200.0,
        "read_bytes_per_second": 0,
        "written_bytes_per_second": 4096000,
        "busy_percent": 40.0,
        "write_wait_ms": 4.0,
    }


def test_mounts_of_containers_pseudo_file_systems_and_binds_are_left_out() -> None:
    mounts = snapshot_storage.distinct_mounts(snapshot_storage.parse_mountinfo(debian("mountinfo.txt")))
    paths = [mount["mount"] for mount in mounts]
    assert "/" in paths and "/dev/shm" in paths
    assert not [path for path in paths if path.startswith(("/proc", "/run/host"))]
    assert len(paths) == len(set(paths))


def test_mount_points_are_unescaped_and_options_joined() -> None:
    line = r"36 35 8:17 / /mnt/a\040b\134c rw,noatime shared:1 - ext4 /dev/sdb1 ro,errors=remount-ro"
    (mount,) = snapshot_storage.parse_mountinfo(line)
    assert mount["mount"] == r"/mnt/a b\c"
    assert mount["options"] == ["errors=remount-ro", "noatime", "ro", "rw"]
    assert mount["read_only"] is True


def test_a_bind_mount_counts_its_file_system_once() -> None:
    line = "{} 1 8:1 {} {} rw - ext4 /dev/sda1 rw"
    text = "\n".join(
        [line.format(1, "/srv/data", "/b"), line.format(2, "/", "/long/path"), line.format(3, "/", "/a")]
    )
    (mount,) = snapshot_storage.distinct_mounts(snapshot_storage.parse_mountinfo(text))
    assert mount["mount"] == "/a"


def test_what_fstab_wants_and_is_absent_is_named() -> None:
    fstab = """
UUID=1 / ext4 defaults 0 1
UUID=2 /data xfs defaults 0 0   # the database
nas:/b /backup\\040x nfs hard,_netdev 0 0
nas:/c /later nfs noauto 0 0
nas:/d /auto nfs x-systemd.automount 0 0
/swap none swap sw 0 0
tmpfs /tmp tmpfs defaults 0 0
"""
    assert snapshot_storage.missing_mounts(fstab, ["/", "/tmp"]) == ["/backup x", "/data"]


def test_space_counts_what_root_keeps_as_used() -> None:
    status = os.statvfs_result((4096, 4096, 1000, 300, 250, 100, 40, 40, 0, 255))
    found = snapshot_storage.space(status)
    assert found["used_bytes"] == 700 * 4096
    assert found["used_percent"] == round(100 * 700 / 950, 2)
    assert found["inodes_used_percent"] == 60.0


def test_a_file_system_without_inodes_has_no_share_of_them() -> None:
    status = os.statvfs_result((4096, 4096, 1000, 300, 250, 0, 0, 0, 0, 255))
    assert "inodes_used_percent" not in snapshot_storage.space(status)


def test_degraded_arrays_are_seen() -> None:
    whole, broken, idle = snapshot_disks.parse_mdstat(elsewhere("mdstat.txt"))
    assert (whole["name"], whole["level"], whole["members"], whole["degraded"]) == ("md0", "raid1", 2, False)
    assert (broken["working"], broken["degraded"], broken["failed"]) == (2, True, ["sdd1"])
    assert (broken["action"], broken["action_percent"]) == ("recovery", 8.5)
    assert (idle["level"], idle["read_only"], idle["failed"]) == ("raid1", True, [])


def test_a_failed_member_of_a_real_array_is_seen() -> None:
    (array,) = snapshot_disks.parse_mdstat(debian("mdstat.txt"))  # of a virtual machine whose disk was failed
    assert (array["level"], array["members"], array["working"], array["failed"]) == ("raid1", 2, 1, ["vdc"])


def test_a_real_thin_pool_is_found() -> None:
    assert snapshot_disks.parse_lvs(debian("lvs.json")) == [
        {"name": "vg/pool", "used_percent": 0.0, "metadata_used_percent": 10.84}
    ]


def test_pools_of_zfs_are_read() -> None:
    # Written after OpenZFS' manual; no pool was ever here.
    assert snapshot_disks.parse_zpool("tank\t1000\t100\tDEGRADED\nno pools\n") == [
        {"name": "tank", "size_bytes": 1000, "used_bytes": 100, "health": "DEGRADED"}
    ]


def test_thin_pools_are_found_among_volumes() -> None:
    volumes = [
        {
            "vg_name": "v",
            "lv_name": "p",
            "lv_attr": "twi-aotz--",
            "data_percent": "81.20",
            "metadata_percent": "12.00",
        },
        {
            "vg_name": "v",
            "lv_name": "root",
            "lv_attr": "-wi-ao----",
            "data_percent": "",
            "metadata_percent": "",
        },
    ]
    text = json.dumps({"report": [{"lv": volumes}]})
    assert snapshot_disks.parse_lvs(text) == [
        {"name": "v/p", "used_percent": 81.2, "metadata_used_percent": 12.0}
    ]


@pytest.mark.parametrize(
    "report, found",
    [
        (
            {
                "model_name": "A",
                "smart_status": {"passed": False},
                "ata_smart_attributes": {
                    "table": [{"id": 5, "raw": {"value": 8}}, {"id": 197, "raw": {"value": 0}}]
                },
                "power_on_time": {"hours": 30000},
            },
            {
                "model": "A",
                "passed": False,
                "reallocated_sectors": 8,
                "pending_sectors": 0,
                "power_on_hours": 30000,
            },
        ),
        (
            {
                "smart_status": {"passed": True},
                "nvme_smart_health_information_log": {
                    "media_errors": 0,
                    "percentage_used": 7,
                    "available_spare": 100,
                },
                "temperature": {"current": 38},
            },
            {
                "passed": True,
                "media_errors": 0,
                "wear_percent": 7,
                "spare_percent": 100,
                "temperature_celsius": 38,
            },
        ),
        ({}, {}),
    ],
)  # reports cut down by hand after smartctl 7's; no physical disk was ever here
def test_the_health_of_disks_is_read(report: dict[str, Any], found: dict[str, Any]) -> None:
    assert snapshot_disks.parse_smart(json.dumps(report)) == found


def test_addresses_are_read_by_interface() -> None:
    found = snapshot_network.parse_addresses(debian("ip_address.json"))
    assert found["lo"] == ["127.0.0.1/8", "::1/128"]
    assert any(address.startswith("10.213.") for address in found["host0"])


def test_a_bond_with_a_dead_member_is_seen() -> None:
    found = snapshot_network.parse_bond(elsewhere("bond0.txt"))
    assert found["mode"] == "fault-tolerance (active-backup)"
    assert found["members"] == [
        {"name": "eno1", "up": True, "failures": 0},
        {"name": "eno2", "up": False, "failures": 3},
    ]


def test_the_default_gateway_is_found() -> None:
    text = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert snapshot_network.parse_gateways(text) == [{"interface": "eth0", "gateway": "10.0.2.1"}]


def test_name_servers_are_read() -> None:
    found = snapshot_network.parse_resolver(
        "# made by hand\nsearch a.example b.example\nnameserver 192.0.2.53\n"
    )
    assert found == {"servers": ["192.0.2.53"], "search": ["a.example", "b.example"]}


def test_counters_of_tcp_are_read() -> None:
    assert snapshot_network.parse_pairs(debian("net_snmp.txt"))["Tcp"]["OutSegs"] > 0


@pytest.mark.parametrize(
    "table, port, address, exposed",
    [
        ("tcp", 22, EVERYWHERE, True),
        ("tcp", 5432, EVERYWHERE, True),
        ("tcp6", 22, "::", True),
        ("udp", 323, "127.0.0.1", False),
    ],
)
def test_listening_sockets_are_read(table: str, port: int, address: str, exposed: bool) -> None:
    found = snapshot_network.parse_sockets(debian(f"net_{table}.txt"), table)
    entry = next(entry for entry in found if entry["port"] == port)
    assert (entry["address"], entry["exposed"], entry["protocol"]) == (address, exposed, table[:3])


def test_a_socket_on_all_addresses_answers_each_expectation() -> None:
    entry = {"protocol": "tcp", "address": EVERYWHERE, "port": 5432}
    assert snapshot_network.fits({"port": 5432, "protocol": "tcp", "address": "192.0.2.1"}, entry)
    assert not snapshot_network.fits({"port": 5432, "protocol": "udp"}, entry)
    assert not snapshot_network.fits({"port": 5432, "address": "192.0.2.1"}, entry | {"address": "127.0.0.1"})


@given(st.ip_addresses())
def test_every_address_of_the_kernels_tables_is_decoded(address: Any) -> None:
    packed = address.packed
    digits = "".join(
        f"{int.from_bytes(packed[start : start + 4], 'little'):08X}" for start in range(0, len(packed), 4)
    )
    decoded = snapshot_network.decode_address(digits)
    assert type(address)(decoded) == address


def test_a_clock_without_a_source_is_not_synchronised() -> None:
    found = snapshot_time.parse_chrony(debian("chronyc_tracking.csv"))
    assert found["synchronised"] is False  # the lab's host follows its own clock when its server is down
    assert "offset_seconds" not in found
    sources = snapshot_time.parse_chrony_sources(debian("chronyc_sources.csv"))
    assert [source["reachable"] for source in sources] == [False, False]


def test_a_clock_that_follows_a_source_says_how_far_it_is_off() -> None:
    line = "C0000201,192.0.2.1,3,1795353304.1,-0.000012,0.1,0.1,1.0,0.0,0.1,0.012,0.001,64.4,Normal\n"
    found = snapshot_time.parse_chrony(line)
    assert (found["synchronised"], found["source"], found["stratum"]) == (True, "192.0.2.1", 3)
    assert found["offset_seconds"] == 0.000012
    assert found["last_update"] == "2026-11-22T13:15:04Z"


def test_chronyc_without_an_answer_is_no_clock() -> None:
    with pytest.raises(UnreadError):
        snapshot_time.parse_chrony("")


def test_ntpds_peers_are_read() -> None:
    found = snapshot_time.parse_ntpq(elsewhere("ntpq.txt"))
    assert (found["synchronised"], found["source"]) == (True, "192.0.2.10")
    assert found["offset_seconds"] == pytest.approx(0.00351)
    assert [source["reachable"] for source in found["sources"]] == [True, True, False]


def test_timesyncds_status_is_read() -> None:
    found = snapshot_time.parse_timesync(elsewhere("timesync_status.txt"))
    assert found == {"source": "192.0.2.10", "stratum": 2, "offset_seconds": 0.00125}


@pytest.mark.parametrize(
    "text, seconds", [("-370us", -0.00037), ("+1min 2.5s", 62.5), ("12ms", 0.012), ("n/a", None)]
)
def test_systemds_spans_are_read(text: str, seconds: float | None) -> None:
    found = snapshot_time.seconds_of(text)
    assert found == seconds if seconds is None else found == pytest.approx(seconds)
