"""Detached jobs: the program that runs one, the states that a host tells, progress, and a patient controller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils import detached, detached_progress, detached_runner

from action_plugins import detached_job as action
from maintenance.progress import Progress

RUNNER = str(Path(detached_runner.__file__))


def run_job(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    """The unit's program on this machine, without systemd."""
    (folder / "job.json").write_text(json.dumps({"command": list(command)}))
    return subprocess.Popen([sys.executable, "-I", "-S", RUNNER, str(folder)])


def result_of(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return told


def test_a_job_leaves_its_output_and_its_code(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("SECRET=x\n")
    assert run_job(tmp_path, "sh", "-c", "echo told; echo so >&2; exit 3").wait() == 3
    assert result_of(tmp_path)["rc"] == 3
    assert (tmp_path / "output").read_text() == "told\nso\n"
    assert not (tmp_path / "environment").exists()


def test_a_command_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    assert run_job(tmp_path, "/no/such/program").wait() == 127
    assert "No such file" in (tmp_path / "output").read_text()


def test_a_command_that_a_signal_ends_is_told_as_by_a_shell(tmp_path: Path) -> None:
    assert run_job(tmp_path, "sh", "-c", "kill -9 $$").wait() == 137
    assert result_of(tmp_path)["rc"] == 137


def test_a_job_that_is_stopped_says_so(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    job = run_job(tmp_path, "sh", "-c", f"echo $$ > {ready}; exec sleep 60")
    ready_pid = ready.read_text()
    job.send_signal(signal.SIGTERM)
    os.kill(int(ready_pid), signal.SIGTERM)  # systemd signals all processes of the unit
    job.wait()
    assert result_of(tmp_path)["stopped"] is True


def test_of_much_output_the_end_is_kept(tmp_path: Path) -> None:
    lines = "for i in $(seq 200000); do echo line $i; done"
    assert run_job(tmp_path, "sh", "-c", lines).wait() == 0
    kept = (tmp_path / "output").read_bytes()
    assert kept.endswith(b"line 200000\n")
    assert len(kept) <= 2 * detached_runner.KEPT_BYTES
    assert result_of(tmp_path)["output_bytes"] == len("".join(f"line {i}\n" for i in range(1, 200001)))


class Host:
    """A host's systemd as far as jobs know it."""

    def __init__(self) -> None:
        self.unit = {
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "SubState": "dead",
            "Result": "success",
        }
        self.started: list[list[str]] = []

    def call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        if command[0] == "systemd-run":
            self.started.append(command)
            self.is_now("active", "running")
        elif command[1] in ("stop", "reset-failed"):
            self.is_now("inactive", "dead")
        told = "".join(f"{name}={value}\n" for name, value in {"ExecMainStatus": "0", **self.unit}.items())
        return subprocess.CompletedProcess(command, 0, told, "")

    def is_now(self, active: str, sub: str, result: str = "success") -> None:
        self.unit.update(ActiveState=active, SubState=sub, Result=result)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(detached, "FOLDER", str(tmp_path / "jobs"))
    fake = Host()
    monkeypatch.setattr(detached, "call", fake.call)
    return fake


WANTED = detached.Wanted("backup", ["pgbackrest", "backup"], user="postgres", environment={"PASS": "se$cret"})


def job() -> detached.Job:
    return detached.Job("backup")


def ends(host: Host, rc: int = 0) -> None:
    """The job writes its result, and its unit ends."""
    detached_runner.write_whole(job().path("result.json"), json.dumps({"rc": rc, "finished": 2e9}))
    host.is_now("active", "exited")


def test_a_job_is_started_once(host: Host) -> None:
    assert job().read()["state"] == "absent"
    assert job().start(WANTED) is True
    assert job().read()["state"] == "running"
    assert job().start(WANTED) is False
    assert len(host.started) == 1


def test_a_secret_is_on_no_command_line_and_in_no_state(host: Host) -> None:
    job().start(WANTED)
    assert "se$cret" not in json.dumps(host.started)
    assert "se" not in json.loads(Path(job().path("job.json")).read_text())["command"]
    environment = Path(job().path("environment"))
    assert environment.read_text() == 'PASS="se\\$cret"\n'
    assert oct(environment.stat().st_mode)[-3:] == "600"
    assert oct(Path(job().folder).stat().st_mode)[-3:] == "700"


def test_another_command_under_a_running_name_is_refused(host: Host) -> None:
    job().start(WANTED)
    with pytest.raises(detached.JobError, match="another job is running"):
        job().start(WANTED._replace(argv=["pgbackrest", "restore"]))


def test_a_result_that_nobody_heard_of_is_collected_and_not_repeated(host: Host) -> None:
    job().start(WANTED)
    ends(host)
    assert job().start(WANTED) is False
    assert job().read()["state"] == "succeeded"
    job().collect()
    assert job().read()["state"] == "succeeded"
    assert job().start(WANTED) is True
    assert len(host.started) == 2


def test_a_result_of_another_target_is_not_taken_for_this_one(host: Host) -> None:
    job().start(WANTED._replace(key="2026-11-22"))
    ends(host)
    assert job().start(WANTED._replace(key="2026-11-23")) is True


@pytest.mark.parametrize("again", [False, True])
def test_an_attempt_that_nobody_heard_of_is_repeated_where_that_is_safe(host: Host, again: bool) -> None:
    job().start(WANTED)
    ends(host, rc=29)
    assert job().read()["state"] == "failed"
    assert job().start(WANTED._replace(again=again)) is again


@pytest.mark.parametrize(
    ("result", "reason"),
    [("signal", "it was killed"), ("oom-kill", "ran out of memory"), ("timeout", "longer than")],
)
def test_a_unit_that_was_killed_is_interrupted_and_no_success(host: Host, result: str, reason: str) -> None:
    job().start(WANTED)
    host.is_now("failed", "failed", result)
    state = job().read()
    assert state["state"] == "interrupted"
    assert reason in state["reason"]


def test_a_reboot_is_an_interruption(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    job().start(WANTED)
    host.is_now("inactive", "dead")
    assert job().read()["reason"] == "its unit is gone and left no result"
    monkeypatch.setattr(detached, "boot_id", lambda: "another")
    assert job().read()["reason"] == "the host was restarted meanwhile"


def test_a_result_that_a_full_disk_had_no_place_for_is_known_by_the_unit(host: Host) -> None:
    job().start(WANTED)
    host.is_now("active", "exited")
    assert job().read()["state"] == "succeeded"


def test_a_removed_job_is_forgotten(host: Host) -> None:
    job().start(WANTED)
    assert job().remove() is True
    assert job().read()["state"] == "absent"
    assert not Path(job().folder).exists()


@pytest.mark.parametrize(
    "wrong",
    [
        WANTED._replace(name="../etc"),
        WANTED._replace(argv=[]),
        WANTED._replace(environment={"A B": "x"}),
        WANTED._replace(environment={"A": "x\nB=y"}),
        WANTED._replace(properties=["Nice"]),
    ],
)
def test_what_systemd_would_take_for_something_else_is_refused(host: Host, wrong: detached.Wanted) -> None:
    with pytest.raises(detached.JobError):
        job().start(wrong)


def test_output_is_shown_without_control_characters(host: Host) -> None:
    job().start(WANTED)
    Path(job().path("output")).write_bytes(b"\x1b[2Jwiped\n\xff")
    assert "\x1b" not in job().read()["output"]
    assert "wiped" in job().read()["output"]


# Progress.


def sample(at: float, percent: float | None, done: int | None = None, total: int | None = None) -> Any:
    return detached_progress.Sample(at, percent, done, total)


def test_pgbackrest_says_how_far_it_is() -> None:
    output = "P01 DETAIL: backup file db1:/x/1 (16KB, 4.21%) checksum a\n"
    output += "P02 DETAIL: backup file y (1.1GB, 45.20%) checksum b\n"
    found = detached_progress.read({"kind": "pgbackrest", "total_bytes": 1000}, output, 1.0)
    assert found == sample(1.0, 45.2, 452, 1000)
    assert detached_progress.read({"kind": "pgbackrest"}, "P00 INFO: start", 1.0) is None


def test_a_folder_and_a_file_say_how_far_they_are(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1").write_bytes(b"x" * 50)
    folder = {"kind": "folder", "path": str(tmp_path / "data"), "total_bytes": 200}
    assert detached_progress.read(folder, "", 1.0) == sample(1.0, 25.0, 50, 200)
    told = tmp_path / "told"
    assert detached_progress.read({"kind": "file", "path": str(told)}, "", 1.0) is None
    told.write_text('{"done_bytes": 5, "total_bytes": 10}')
    assert detached_progress.read({"kind": "file", "path": str(told)}, "", 1.0) == sample(1.0, 50.0, 5, 10)
    told.write_text('{"percent": 12.5}')
    assert detached_progress.read({"kind": "file", "path": str(told)}, "", 1.0) == sample(1.0, 12.5)


def test_rate_and_remaining_time_are_those_of_the_last_minute() -> None:
    samples = [sample(0, 0, 0, 1000), sample(100, 20, 200, 1000), sample(110, 30, 300, 1000)]
    assert detached_progress.pace(samples) == {"rate": 10.0, "remaining": 70.0}
    assert detached_progress.pace(samples[:1]) == {"rate": None, "remaining": None}
    assert detached_progress.line("copy", 110, samples) == (
        "copy: 30.0 %, 300 B of 1.0 kB, 10 B/s, 1:10 left, running for 1:50"
    )


def test_without_a_source_the_line_says_how_long_it_runs() -> None:
    assert detached_progress.line("copy", 3725, []) == "copy: running for 1:02:05"


def test_the_terminal_shows_it_and_nothing_else_that_the_engine_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = Progress(1, mask=lambda text: text.replace("secret", "***"))
    shown.event({"event": "verbose", "stdout": "PLAY [secret]"})
    shown.event({"event": "verbose", "stdout": "progress: db1 backup: 45.2 %, secret"})
    assert capsys.readouterr().err == "db1 backup: 45.2 %, ***\n"


# The controller.


class Wire:
    """Answers of a host in their order; None is a link that is cut."""

    def __init__(self, answers: list[dict[str, Any] | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.resets = 0

    def execute(self, _name: str, module_args: dict[str, Any], **_more: Any) -> dict[str, Any]:
        self.asked.append(str(module_args.get("state", "finished")))
        answer = self.answers.pop(0)
        if answer is None:
            raise AnsibleConnectionFailure("Connection timed out")
        return answer

    def reset(self) -> None:
        self.resets += 1


def controller(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, shown: list[str], **arguments: Any
) -> dict[str, Any]:
    """One call of the action plugin."""
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = type("Task", (), {"args": {"name": "backup", **arguments}, "check_mode": False})()
    plugin._connection = wire
    plugin._display = type("Display", (), {"display": staticmethod(shown.append)})()
    monkeypatch.setattr(plugin, "_execute_module", wire.execute)
    monkeypatch.setattr(action.ActionBase, "run", lambda *_: {})
    monkeypatch.setattr(action.time, "sleep", lambda _seconds: None)
    told: dict[str, Any] = plugin.run(task_vars={"inventory_hostname": "db1"})
    return told


RUNNING: dict[str, Any] = {"job_state": "running", "elapsed_seconds": 3.0, "changed": False}
DONE: dict[str, Any] = {"job_state": "succeeded", "rc": 0, "output": "", "changed": False}


def test_a_cut_link_neither_ends_the_wait_nor_loses_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    wire = Wire([None, RUNNING | {"changed": True}, None, None, {"rc": 255}, RUNNING, DONE, DONE])
    told = controller(wire, monkeypatch, shown)
    assert told["job_state"] == "succeeded"
    assert told["changed"] is True
    assert not told.get("failed")
    assert wire.asked == ["finished", "finished", *["read"] * 5, "collected"]
    assert wire.resets == 4
    assert any("the link is cut" in text for text in shown)


def test_a_host_that_stays_away_is_unreachable_and_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = controller(Wire([RUNNING, None]), monkeypatch, [], patience=0)
    assert told["unreachable"] is True
    assert "run the same runbook again" in told["msg"]


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            {"job_state": "failed", "rc": 29, "output": "a\nERROR: b\nINFO: end\n"},
            "backup ended with code 29: ERROR: b",
        ),
        (
            {"job_state": "interrupted", "reason": "it was killed", "output": "a\n"},
            "backup was interrupted (it was killed); its last words: a",
        ),
    ],
)
def test_what_did_not_succeed_fails_the_task(
    monkeypatch: pytest.MonkeyPatch, end: dict[str, Any], message: str
) -> None:
    told = controller(Wire([end, end]), monkeypatch, [])
    assert told["failed"] is True
    assert told["msg"] == message


def test_a_worker_whose_engine_was_killed_takes_no_result_away(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = iter([10, 10, 1])
    monkeypatch.setattr(action.os, "getppid", lambda: next(parents))
    wire = Wire([RUNNING])
    with pytest.raises(AnsibleActionFail, match="the engine has ended"):
        controller(wire, monkeypatch, [])
    assert wire.asked == ["finished"]


def test_a_refusal_of_the_host_is_no_cut_link(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"failed": True, "msg": "another job is running"}
    assert controller(Wire([refused]), monkeypatch, [])["msg"] == "another job is running"
