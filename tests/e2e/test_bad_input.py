"""Bad input: one clear line, the right exit code, nothing changed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY

Runner = Callable[..., "object"]
SITES = REPOSITORY / "inventories"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A site of its own, removed afterwards."""
    folder = SITES / "test_bad_input"
    folder.mkdir()
    (folder / "hosts.yml").write_text("servers:\n  hosts:\n    localhost:\n      ansible_connection: local\n")
    (folder / "site.yml").write_text("site: test_bad_input\nself_issued_key: true\n")
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nothing", "--site", "self"], "there is no runbook 'nothing'; there are: "),
        (["run", "inspect", "--site", "nowhere"], "there is no site 'nowhere'; there are: "),
        (["run", "../inspect", "--site", "self"], "there is no runbook"),
        (["run", "inspect", "--site", "../lab"], "there is no site"),
        (
            ["run", "inspect", "--site", "self", "--limit", "nobody"],
            "fits 'nobody'; its hosts are: localhost",
        ),
        (
            ["run", "inspect", "--site", "self", "--limit", "localhost,nobody"],
            "fits 'nobody'; its hosts are: ",
        ),
        (["run", "inspect", "--site", "self", "--limit", "["], "fits '['; its hosts are: localhost"),
        (["run", "configure_witness", "--site", "self", "--reason", "x"], "the runbook's group witness; its"),
        (["run", "inspect", "--site", "self", "--set", "nonsense=1"], "has no variable 'nonsense'; it has: "),
        (["run", "inspect", "--site", "self", "--set", "nonsense"], "--set takes NAME=VALUE"),
        (["run", "inspect", "--site", "self", "--set", "inspection_limits=12"], "inspection_limits"),
        (
            ["run", "inspect", "--site", "self", "--vars", "/nonexistent.yml"],
            "/nonexistent.yml cannot be read",
        ),
        (["verify", "/nonexistent"], "/nonexistent is not a ledger"),
        (["verify", "/etc/passwd"], "/etc/passwd is not a ledger"),
        (
            ["verify", "--revoked", "/etc/passwd/krl"],
            "the revocation list /etc/passwd/krl cannot be read: Not a directory",
        ),
        (["verify", "--revoked", "/etc/passwd"], "/etc/passwd is not a revocation list"),
        (["show", "99", "--ledger", "/nonexistent"], "no single entry '99'"),
    ],
)
def test_one_clear_line_and_exit_2(runner: Runner, tmp_path: Path, arguments: list[str], said: str) -> None:
    ledger = tmp_path / "ledger"
    extra = ["--ledger", str(ledger)] if arguments[0] == "run" else []
    done = runner(*arguments, *extra)
    assert done.code == 2, done.err
    assert said in done.line
    assert not list(ledger.glob("0*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["run"], "required: runbook, --site"),
        (["run", "inspect"], "required: --site"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (
            ["run", "inspect", "--site", "self", "--forks", "0"],
            "--forks: takes a number from 1 to 500, not '0'",
        ),
        (["run", "inspect", "--site", "self", "--limit", ""], "--limit: must not be empty"),
        (["run", "inspect", "--site", "self", "--offline", " "], "--offline: must not be empty"),
    ],
)
def test_a_wrong_call_exits_2_with_the_usage(runner: Runner, arguments: list[str], said: str) -> None:
    done = runner(*arguments)
    assert done.code == 2
    assert done.err.startswith("usage: ")
    assert said in done.err


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("vars.yml", "a: [1, 2\n", "vars.yml:2:1 is not YAML"),
        ("vars.yml", "- a\n", "must hold variables"),
    ],
)
def test_malformed_variables_are_named_with_their_line(
    runner: Runner, tmp_path: Path, file: str, text: str, said: str
) -> None:
    (tmp_path / file).write_text(text)
    done = runner(
        "run", "inspect", "--site", "self", "--ledger", tmp_path / "ledger", "--vars", tmp_path / file
    )
    assert done.code == 2
    assert said in done.line


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("site.yml", "site: [\n", "site.yml:2:1 is not YAML"),
        ("site.yml", "site: test_bad_input\nnonsense: 1\n", "site.yml: nonsense: Extra inputs"),
        ("site.yml", "site: test_bad_input\ndue_days: {critical: soon}\n", "site.yml: due_days.critical"),
        ("site.yml", "site: other\n", "its folder is 'test_bad_input'"),
        ("site.yml", "site: test_bad_input\n", "names no key"),
        ("site.yml", "site: test_bad_input\nprincipal: a@b\nkey: /nonexistent\n", "the key /nonexistent"),
        ("hosts.yml", "servers:\n  hosts: [\n", "hosts.yml:3:1 is not YAML"),
    ],
)
def test_a_malformed_site_is_named_with_its_line(
    runner: Runner, site: Path, tmp_path: Path, file: str, text: str, said: str
) -> None:
    (site / file).write_text(text)
    done = runner("run", "inspect", "--site", site.name, "--ledger", tmp_path / "ledger")
    assert done.code == 2, done.err
    assert said in done.line


def test_a_key_that_the_site_does_not_allow_is_refused(runner: Runner, site: Path, tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    public = (tmp_path / "theirs.pub").read_text()
    (site / "allowed_signers").write_text(f'a@b namespaces="maintenance-record" {public}')
    (site / "site.yml").write_text(f"site: {site.name}\nprincipal: a@b\nkey: {tmp_path / 'mine'}\n")
    done = runner("run", "inspect", "--site", site.name, "--ledger", tmp_path / "ledger")
    assert done.code == 3
    assert "does not allow the key" in done.line
    assert not list((tmp_path / "ledger").glob("0*"))


def test_a_broken_ledger_is_refused_before_the_run(runner: Runner, inspected: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    subprocess.run(["cp", "-a", str(inspected.parent), str(ledger)], check=True)
    (ledger / inspected.name / "record.json").write_text("{}")
    done = runner("run", "inspect", "--site", "self", "--ledger", ledger)
    assert done.code == 3
    assert "does not verify, nothing was done" in done.line
    assert len(list(ledger.glob("0*"))) == 3


def test_the_ledger_of_another_site_is_refused(runner: Runner, site: Path, inspected: Path) -> None:
    done = runner("run", "inspect", "--site", site.name, "--ledger", inspected.parent)
    assert done.code == 2
    assert "is the ledger of the site self" in done.line


def test_a_full_ledger_is_refused_before_the_run(runner: Runner, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        done = runner("run", "inspect", "--site", "self", "--ledger", small / "ledger")
        assert done.code == 2
        assert "nothing was run" in done.line
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_full_disk_during_the_run_loses_no_event_silently(tmp_path: Path, runner: Runner) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)], check=True)
    ledger = tmp_path / "ledger"
    try:
        done = runner(
            "run", "inspect", "--site", "self", "--ledger", ledger, "--json", env={"TMPDIR": str(small)}
        )
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert done.code != 0
    assert "Traceback" not in done.err
    if done.out:
        assert done.json["outcome"] != "succeeded"
    else:
        assert "rescue" in done.line or "stored" in done.line
    assert runner("verify", ledger).code == 0


def test_an_unreachable_host_is_a_failure_with_a_record(runner: Runner, site: Path, tmp_path: Path) -> None:
    (site / "hosts.yml").write_text(
        "servers:\n  hosts:\n    away:\n      ansible_host: 127.0.0.1\n      ansible_port: 9\n"
    )
    done = runner("run", "inspect", "--site", site.name, "--ledger", tmp_path / "ledger", "--json")
    assert done.code == 1, done.err
    assert done.json["outcome"] == "unreachable"
    assert Path(done.json["entry"]).exists()


def test_python_missing_on_a_host_is_said_in_one_line(runner: Runner, site: Path, tmp_path: Path) -> None:
    (site / "hosts.yml").write_text(
        "servers:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
        "      ansible_python_interpreter: /nonexistent/python3\n"
    )
    done = runner("run", "inspect", "--site", site.name, "--ledger", tmp_path / "ledger")
    assert done.code == 1, done.err
    assert "python" in done.out.lower()
    assert "/nonexistent/python3" in done.out
