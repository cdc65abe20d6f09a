"""The whole snapshot: on a planted host, without root, against hostile content, by the packed code."""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import snapshot_collect
from ansible.module_utils.snapshot_arguments import ARGUMENTS, problem
from ansible.module_utils.snapshot_bootstrap import MARK
from ansible.module_utils.snapshot_host import Host, UnreadError

from tests.unit.test_host_snapshot_parsers import debian

FOLDER = Path(__file__).parent.parent.parent / "module_utils"
PYTHON = "/usr/bin/python3"  # as on a host; the environment's own may lie where nobody may go
PLANTED = "kT5plantedSecret"


def plant(root: Path, files: dict[str, str]) -> None:
    """Make files below a folder; those in bin are programs."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if path.parent.name in ("bin", "sbin") else 0o644)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The snapshot of a host with secrets wherever hosts have them, and names that attack whoever prints them."""
    tmp_path = tmp_path_factory.mktemp("planted")
    hash_ = f"$6$salt${PLANTED}"
    attack = "\x1b]0;owned\x07\u202e{{ lookup('pipe', 'touch /tmp/owned') }}\n../../x"
    plant(
        tmp_path,
        {
            "etc/os-release": f'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="{attack}"\n',
            "etc/passwd": f"root:x:0:0::/root:/bin/bash\neve:{hash_}:1000:1000:{PLANTED}:/home/eve:/bin/bash\n",
            "etc/group": "root:x:0:\neve:x:1000:\n",
            "etc/shadow": f"root:{hash_}:20000:0:90:7:::\neve:!{hash_}:20000:0:90:7:::\n",
            "etc/sudoers": f"eve ALL=(ALL) NOPASSWD: /usr/bin/mysql --password={PLANTED}\n",
            "usr/bin/sudo": "#!/bin/sh\n",
            "etc/crontab": f"1 1 * * * root PGPASSWORD={PLANTED} /opt/b.sh -p{PLANTED} 'https://u:{PLANTED}@h/'\n",
            "etc/exports": f"/srv *(rw) # password={PLANTED}\n",
            "etc/snmp/snmpd.conf": f"rwcommunity {PLANTED}\n",
            "etc/pam.d/sshd": f"auth required pam_mysql.so user=x passwd={PLANTED}\n",
            "etc/default/useradd": "INACTIVE=30\n",
            "home/eve/.ssh/authorized_keys": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{PLANTED} eve@laptop\n",
            "root/.ssh/authorized_keys": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{PLANTED}\n",
            "proc/cmdline": f"root=/dev/sda luks.key={PLANTED} quiet password={PLANTED}\n",
            "proc/uptime": "1000.00 900.00\n",
            "proc/self/mountinfo": debian("mountinfo.txt"),
            "proc/loadavg": "0.10 0.20 0.30 1/200 4242\n",
            "proc/4242/stat": "4242 (a) b\x1b[31m) S 1 " + " ".join("0" * 49),
            "proc/4242/comm": "x\n",
            "proc/4242/cmdline": f"mysql\0-p{PLANTED}\0",
            "proc/4242/environ": f"PGPASSWORD={PLANTED}\0",
            "usr/bin/journalctl": f"#!/bin/sh\ncat <<'X'\n{journal()}\nX\n",
            "usr/bin/openssl": "#!/bin/sh\nexec sleep 60\n",
            "etc/nginx/site.crt": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
            "usr/bin/systemd-detect-virt": "#!/bin/sh\nexec head -c 50000000 /dev/zero\n",
            "usr/bin/dpkg-query": "#!/bin/sh\nprintf 'bad\\377name\\t1\\tii \\n'\n",
        },
    )
    return snapshot_collect.collect({"timeout": 30}, root=str(tmp_path))


def journal() -> str:
    """Errors that name a patient and a password."""
    texts = [
        ("app", f"patient 张三 110101199003071234 {PLANTED}"),
        ("sshd", f"error: token={PLANTED} of 李四"),
    ]
    return "\n".join(
        json.dumps(
            {"__REALTIME_TIMESTAMP": "1795353304000000", "SYSLOG_IDENTIFIER": name, "MESSAGE": message}
        )
        for name, message in texts
    )


def test_a_planted_host_gives_neither_secrets_nor_patients_nor_control_characters(
    planted: dict[str, Any],
) -> None:
    snapshot = planted
    text = json.dumps(planted, ensure_ascii=False)
    assert PLANTED not in text
    assert "张三" not in text and "李四" not in text and "110101199003071234" not in text
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", text)
    assert snapshot["data"]["operating_system"]["name"].startswith('"\\x1b]0;owned\\x07\\u202e{{ lookup(')
    users = {user["name"]: user for user in snapshot["data"]["accounts"]["users"]}
    assert users["root"]["password"]["algorithm"] == "sha512"
    assert users["eve"]["password"]["state"] == "locked"
    assert snapshot["data"]["packages"]["installed"] == {"bad\ufffdname": "1"}
    assert snapshot["data"]["identity"].keys() == {"hostname"}


def test_what_hangs_and_what_floods_is_named(planted: dict[str, Any]) -> None:
    snapshot = planted
    unread = {name: probe["unread"] for name, probe in snapshot["probes"].items()}
    assert "wrote more than 1048576 bytes" in unread["identity"]["virtualization"]
    assert "no answer within" in unread["certificates"]["/etc/nginx/site.crt"]
    assert snapshot["probes"]["services"]["reason"] == "systemd does not run this host"


def test_every_probe_is_there_with_data_or_a_reason(planted: dict[str, Any]) -> None:
    snapshot = planted
    assert set(snapshot["probes"]) == set(snapshot_collect.PROBES)
    for name, probe in snapshot["probes"].items():
        assert (probe["state"] == "ok") == (name in snapshot["data"]), name
        assert probe["state"] == "ok" or probe["reason"], name
        assert "Error:" not in probe.get("reason", "") or "UnreadError" not in probe["reason"], name


def test_no_probe_fails_by_a_mistake_of_its_own_on_an_empty_host(tmp_path: Path) -> None:
    snapshot = snapshot_collect.collect({"timeout": 30}, root=str(tmp_path))
    for name, probe in snapshot["probes"].items():
        assert not re.search(r"\(\w+\.py:\d+\)", probe.get("reason", "")), (name, probe)


def test_each_probe_is_in_one_lane_and_the_last_one_has_waited() -> None:
    names = [name for lane in snapshot_collect.lanes() for name in lane]
    assert sorted(names) == sorted(snapshot_collect.PROBES)
    assert snapshot_collect.lanes()[-1][-1] == "activity"


def test_a_hung_probe_is_unknown_and_the_others_answer() -> None:
    def hangs(_host: Host) -> dict[str, Any]:
        time.sleep(60)
        return {}

    probes = {"good": lambda _host: {"a": 1}, "hangs": hangs, "later": lambda _host: {"b": 2}}
    snapshot = snapshot_collect.collect({"timeout": 2}, probes=probes)
    assert snapshot["data"]["good"] == {"a": 1}
    assert snapshot["probes"]["hangs"]["state"] == "unknown"
    assert "no answer" in snapshot["probes"]["hangs"]["reason"]
    assert snapshot["duration_ms"] < 4000


def test_a_mistake_in_a_probe_is_its_own_reason_with_its_place() -> None:
    probes = {"bad": lambda _host: {"a": {}["absent"]}}
    snapshot = snapshot_collect.collect({}, probes=probes)
    assert re.match(
        r"KeyError: 'absent' \(test_host_snapshot_whole\.py:\d+\)", snapshot["probes"]["bad"]["reason"]
    )


def test_an_answer_beyond_its_bound_is_given_up() -> None:
    probes = {"big": lambda _host: {"x": ["y" * 4000] * 300}, "small": lambda _host: {}}
    snapshot = snapshot_collect.collect({}, probes=probes)
    assert "more than 1048576" in snapshot["probes"]["big"]["reason"]
    assert snapshot["data"] == {"small": {}}


def test_the_largest_go_first_when_the_whole_is_too_large() -> None:
    answers = {str(n): {"state": "ok", "data": "x" * (400_000 + n)} for n in range(12)}
    snapshot_collect.drop_largest(answers)
    assert sum(len(json.dumps(answer.get("data"))) for answer in answers.values()) <= 4 << 20
    assert [name for name, answer in answers.items() if "data" not in answer] == ["10", "11"]
    assert "too large" in answers["11"]["reason"]


def test_a_reason_of_the_host_is_kept() -> None:
    def bad(_host: Host) -> dict[str, Any]:
        raise UnreadError("needs root: /x\x1b")

    assert snapshot_collect.collect({}, {"bad": bad})["probes"]["bad"]["reason"] == "needs root: /x\\x1b"


def call(
    arguments: dict[str, Any], *before: str, **options: Any
) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """Run the program that the action plugin sends; `before` may be a command that runs it in turn."""
    sources = {path.stem: path.read_text() for path in FOLDER.glob("snapshot_*.py")}
    packed = base64.b64encode(zlib.compress(json.dumps(sources).encode())).decode()
    program = (FOLDER / "snapshot_bootstrap.py").read_text()
    program += f"\nanswer({packed!r}, 'snapshot_collect.collect', {json.dumps(arguments)!r})\n"
    done = subprocess.run(
        [*before, PYTHON, "-I", "-S", "-B", "-"],
        input=program,
        text=True,
        capture_output=True,
        check=True,
        **options,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith(MARK + "ok:")
    return json.loads(zlib.decompress(base64.b64decode(line[len(MARK) + 3 :]))), done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_without_root_what_needs_it_is_named_and_the_rest_is_there() -> None:
    snapshot, done = call(
        {"scan_paths": ["/etc"], "timeout": 30}, user="nobody", group="nogroup", extra_groups=[]
    )
    assert done.stderr == ""
    assert snapshot["probes"]["accounts"]["unread"]["password"] == "needs root: /etc/shadow"
    assert all("password" not in user for user in snapshot["data"]["accounts"]["users"])
    for name in ("load", "memory", "filesystems", "listeners", "kernel_parameters", "packages"):
        assert snapshot["probes"][name]["state"] == "ok", name
    for name, probe in snapshot["probes"].items():
        assert not re.search(r"\(\w+\.py:\d+\)", probe.get("reason", "")), (name, probe)


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/fuse").exists() or not shutil.which("unshare"),
    reason="needs root, FUSE and unshare to make a mount that hangs",
)
def test_a_mount_that_hangs_in_the_kernel_costs_one_answer(tmp_path: Path) -> None:
    mount = tmp_path / "dead"
    mount.mkdir()
    (tmp_path / "open").touch()
    (tmp_path / "open").chmod(0o666)
    keeper = FOLDER.parent / "tests/fixtures/host_snapshot/hung_mount.py"
    private = ["unshare", "--mount", "--propagation", "private", PYTHON, str(keeper), str(mount)]
    snapshot, _done = call({"scan_paths": [str(tmp_path)], "timeout": 40}, *private)
    assert snapshot["duration_ms"] < 15_000
    mounts = {one["mount"]: one for one in snapshot["data"]["filesystems"]["mounts"]}
    assert [path for path, one in mounts.items() if not one["answers"]] == [str(mount)]
    assert "used_percent" in mounts["/"]
    unread = snapshot["probes"]["filesystems"]["unread"]
    assert unread == {f"mounts[{mount}].used_percent": "no answer within 3 s"} | {
        name: reason for name, reason in unread.items() if name == "unmounted"
    }
    assert [one["path"] for one in snapshot["data"]["file_scan"]["world_writable"]] == [
        str(tmp_path / "open")
    ]


def test_the_packed_code_needs_nothing_but_the_standard_library() -> None:
    snapshot, _done = call({"scan_paths": ["/etc/ssh"], "scan_seconds": 0.5, "expected_units": ["absent"]})
    assert snapshot["schema"] == "host-snapshot/1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", snapshot["taken"])
    assert snapshot["duration_ms"] < 30_000
    assert snapshot["data"]["file_scan"]["roots"] == ["/etc/ssh"]


def test_the_bootstrap_can_be_read_by_pythons_that_are_too_old() -> None:
    tree = ast.parse((FOLDER / "snapshot_bootstrap.py").read_text(), feature_version=(3, 4))
    imported = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    assert imported == ["base64", "json", "os", "sys", "zlib"]
    assert not [node for node in tree.body if isinstance(node, ast.ImportFrom)]  # no __future__ of 3.7 either


def test_a_python_that_is_too_old_says_so() -> None:
    program = (FOLDER / "snapshot_bootstrap.py").read_text().replace("sys.version_info <", "(3, 7) <")
    done = subprocess.run(
        [sys.executable, "-"],
        input=program + "\nanswer('', '', '')\n",
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(MARK + "old:3.")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"since": "last week"}, "since: 'last week' is no instant"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 10_000}, "timeout"),
        ({"scan_seconds": 0}, "scan_seconds"),
        ({"scan_paths": ["etc"]}, "must be an absolute path"),
        ({"certificate_files": ["-x"]}, "must be an absolute path"),
        ({"expected_units": ["--root=/x"]}, "is no name of a unit"),
        ({"expected_timers": ["*"]}, "is no name of a unit"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_in_one_line(arguments: dict[str, Any], words: str) -> None:
    reason = problem(arguments)
    assert reason is not None and words in reason and "\n" not in reason


def test_usual_arguments_are_accepted() -> None:
    defaults = {name: option.get("default") for name, option in ARGUMENTS.items()}
    assert (
        problem({**defaults, "expected_units": ["postgresql@15-main"], "since": "2026-08-22T00:00:00Z"})
        is None
    )
