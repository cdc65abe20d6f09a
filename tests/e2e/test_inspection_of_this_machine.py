"""One inspection of this machine through runner.py: what it prints, what it leaves, what stock tools say of it."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import pty
import pwd
import shutil
import signal
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenance import record as model
from maintenance import verification
from tests.e2e.conftest import REPOSITORY

Runner = Callable[..., "object"]
# For runs whose findings do not matter: a machine with many files costs each of them seconds.
BRIEFLY = ("--set", "inspection_scan_seconds=0.1")


def test_it_leaves_a_record_and_a_report(inspected: Path) -> None:
    made = model.from_bytes((inspected / "record.json").read_bytes())
    assert made.outcome == "succeeded"
    assert made.hosts_processed == ["localhost"]
    assert made.events.seen == made.events.expected > 5
    assert len(made.evidence["localhost"]) >= 60
    assert made.verdict_counts()["pass"] > 10
    assert made.metrics["localhost"]
    suffixes = sorted(path.suffix for path in (inspected / "documents").iterdir())
    assert suffixes == [".docx", ".pdf"]


def test_the_events_are_those_that_the_record_counts(inspected: Path) -> None:
    made = model.from_bytes((inspected / "record.json").read_bytes())
    lines = gzip.decompress((inspected / "events.jsonl.gz").read_bytes())
    assert hashlib.sha256(lines).hexdigest() == made.events.sha256
    assert [json.loads(line)["n"] for line in lines.splitlines()] == list(range(1, made.events.expected + 1))


def test_stock_tools_alone_accept_every_entry(inspected: Path) -> None:
    ledger = inspected.parent
    signers = next(ledger.glob("000001-genesis-*/allowed_signers"))
    for entry in sorted(ledger.glob("0*")):
        subprocess.run(["sha256sum", "-c", "--strict", "--status", "MANIFEST"], cwd=entry, check=True)
        text = (entry / "MANIFEST").read_text()
        signer = next(line for line in text.splitlines() if line.startswith("# signer ")).split()[-1]
        command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", signer, "-n", "maintenance-record"]
        subprocess.run(
            [*command, "-s", str(entry / "MANIFEST.sig")],
            input=text,
            text=True,
            check=True,
            capture_output=True,
        )


def test_verify_and_verify_sh_agree_that_it_is_sound(inspected: Path, runner: Runner) -> None:
    assert verification.verify(inspected.parent).sound
    done = runner("verify", inspected.parent)
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("sound: 3 entries")
    script = next(inspected.parent.glob("000001-genesis-*/verify.sh"))
    checked = subprocess.run(
        ["sh", str(script), str(inspected.parent)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert "sound: 3 entries" in checked.stdout.splitlines()[-1]


def test_a_tampered_record_is_named_with_exit_4(inspected: Path, runner: Runner, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    shutil.copytree(inspected.parent, ledger)
    file = ledger / inspected.name / "record.json"
    file.write_text(file.read_text().replace('"outcome": "succeeded"', '"outcome": "failed"'))
    done = runner("verify", ledger)
    assert done.code == 4
    assert f"FAULT  {inspected.name}: record.json is not the file that was signed" in done.out


def test_show_tells_the_entry_in_words_and_as_json(inspected: Path, runner: Runner) -> None:
    words = runner("show", inspected)
    assert words.code == 0
    assert "inspect on self: succeeded" in words.out
    assert json.loads(runner("show", inspected, "--json").out)["schema"] == "maintenance-record/1"


def test_the_hospital_countersigns_and_the_ledger_stays_sound(
    runner: Runner, tmp_path: Path, inspected: Path
) -> None:
    ledger = tmp_path / "ledger"
    shutil.copytree(inspected.parent, ledger)
    key = tmp_path / "hospital"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    refused = runner("countersign", ledger / inspected.name, "--key", key)
    assert refused.code == 3
    assert "may not countersign" in refused.line
    site = tmp_path / "allowed_signers"
    site.write_text(f'it@hospital namespaces="maintenance-receipt" {key.with_suffix(".pub").read_text()}')
    allowed = REPOSITORY / "inventories" / "self" / "allowed_signers"
    assert not allowed.exists()
    try:
        shutil.copy(site, allowed)
        assert runner("run", "inspect", "--site", "self", "--ledger", ledger, "--quiet", *BRIEFLY).code == 0
    finally:
        allowed.unlink()
    done = runner("countersign", ledger / inspected.name, "--key", key, "--remark", "同意")
    assert done.code == 0, done.err
    (receipt,) = ledger.glob("*-receipt-000003")
    assert json.loads((receipt / "acceptance.json").read_text())["remarks"] == "同意"
    report = verification.verify(ledger)
    assert report.sound, report.faults
    assert report.receipts == 1


def test_a_second_inspection_follows_the_first_one(runner: Runner, tmp_path: Path, inspected: Path) -> None:
    ledger = tmp_path / "ledger"
    shutil.copytree(inspected.parent, ledger)
    done = runner(
        "run", "inspect", "--site", "self", "--ledger", ledger, "--json", "--lang", "en", "--reason", "again"
    )
    assert done.code == 0, done.err
    made = model.from_bytes((Path(done.json["entry"]) / "record.json").read_bytes())
    first = model.from_bytes((inspected / "record.json").read_bytes())
    assert made.comparison is not None
    assert made.comparison.previous_run == first.run
    assert {forecast.state for forecast in made.forecasts} == {"too_few_points"}
    assert made.reason == "again"
    assert made.language == "en"


def clone_for(user: pwd.struct_passwd, home: Path) -> Path:
    """A clone with an environment of its own, as such a user would have: the test's own may be unreadable to it."""
    for parent in [home, *home.parents][:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    copy = home / "clone"
    (copy / "inventories").mkdir(parents=True)
    parts = (
        "playbooks roles library module_utils action_plugins callback_plugins maintenance inventories/self"
    )
    for name in [*parts.split(), "ansible.cfg", "runner.py", "requirements.lock"]:
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(copy / name)], check=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(copy / ".venv")], check=True)
    packages = "lib/python3.11/site-packages"
    source = REPOSITORY / ".venv" / packages
    subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", str(copy / ".venv" / packages)], check=True)
    for name in ("ansible-playbook", "ansible"):
        script = (REPOSITORY / ".venv/bin" / name).read_text().split("\n", 1)[1]
        (copy / ".venv/bin" / name).write_text(f"#!{copy}/.venv/bin/python\n{script}")
        (copy / ".venv/bin" / name).chmod(0o755)
    subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(home)], check=True)
    return copy


def test_an_unprivileged_user_gets_unknown_where_root_is_needed(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = tmp_path / "home"
    home.mkdir()
    copy = clone_for(nobody, home)
    command = [
        str(copy / ".venv/bin/python"),
        str(copy / "runner.py"),
        "run",
        "inspect",
        "--site",
        "self",
        "--json",
    ]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "USER": "nobody", "LANG": "C.UTF-8"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        user="nobody",
        group=nobody.pw_gid,
        extra_groups=[],
        env=environment,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["findings"]["unknown"] > 0
    made = model.from_bytes((Path(told["entry"]) / "record.json").read_bytes())
    reasons = [item.actual for item in made.evidence["localhost"] if item.verdict == "unknown"]
    assert any("root" in reason for reason in reasons), reasons


def test_ctrl_c_ends_the_run_and_leaves_a_cancelled_record(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = [
        str(REPOSITORY / "runner.py"),
        "run",
        "inspect",
        "--site",
        "self",
        "--ledger",
        str(ledger),
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if "hosts" in line:  # the first step is under way
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 1, err
    told = json.loads(out)
    assert told["outcome"] == "cancelled"
    assert verification.verify(ledger).sound


def test_a_lost_terminal_does_not_end_the_run(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ours, theirs = pty.openpty()
    command = [str(REPOSITORY / "runner.py"), "run", "inspect", "--site", "self", "--ledger", str(ledger)]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=_take_terminal
    )
    os.close(theirs)
    seen = b""
    while b"hosts" not in seen:
        seen += os.read(ours, 1024)
    os.close(ours)  # the terminal hangs up: SIGHUP, and every write fails from now on
    process.wait()
    (close,) = ledger.glob("*-close-*")
    assert model.from_bytes((close / "record.json").read_bytes()).outcome == "succeeded"
    assert verification.verify(ledger).sound


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_by_hand_it_works_too_and_warns_that_there_is_no_record() -> None:
    command = [
        str(REPOSITORY / ".venv/bin/ansible-playbook"),
        "-i",
        "inventories/self",
        "playbooks/inspect.yml",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stderr.split())
    assert "leaves no maintenance record" in said
    assert "left no maintenance record" in said


def test_two_runs_at_once_both_land(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = [
        str(REPOSITORY / "runner.py"),
        "run",
        "inspect",
        "--site",
        "self",
        "--ledger",
        str(ledger),
        "--json",
        "--quiet",
        *BRIEFLY,
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(process.communicate()[0]) for process in running]
    assert [one["outcome"] for one in told] == ["succeeded", "succeeded"]
    report = verification.verify(ledger)
    assert report.sound, report.faults
    assert report.entries == 5
    assert report.unclosed == []


# Each moment on a real host: molecule/inspect/tests/test_killed_runs.py. Here the whole group dies, LibreOffice with it.
@pytest.mark.parametrize("round_number", [0, 3, 5])
def test_killed_at_some_moment_the_next_run_says_so(tmp_path: Path, round_number: int) -> None:
    ledger = tmp_path / "ledger"
    command = [
        str(REPOSITORY / "runner.py"),
        "run",
        "inspect",
        "--site",
        "self",
        "--ledger",
        str(ledger),
        "--json",
        *BRIEFLY,
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr
    for number, _line in enumerate(process.stderr):
        if number == round_number:  # each round dies at another line of its progress
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = verification.verify(ledger)
    assert report.sound, report.faults
    assert report.unclosed == []
    abandoned = list(ledger.glob("*-abandoned-*"))
    closed = list(ledger.glob("*-close-*"))
    assert len(abandoned) + len(closed) == len(list(ledger.glob("*-open-*")))
