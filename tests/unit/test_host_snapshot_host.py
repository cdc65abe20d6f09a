"""Files and commands of a host that is slow, broken or hostile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible.module_utils.snapshot_host import Host, UnreadError, environment


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose root is an empty folder."""
    return Host(root=str(tmp_path))


def program(host: Host, name: str, body: str) -> None:
    """A command of this host."""
    path = Path(host.root) / "usr/bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)


def test_a_command_is_run_and_noted_as_it_was_run(host: Host) -> None:
    program(host, "tool", 'printf "%s|" "$@"')
    assert host.run(["tool", "a b", "$(id)"]) == "a b|$(id)|"
    assert host.commands == ["tool 'a b' '$(id)'"]


def test_an_absent_command_is_named_and_not_noted(host: Host) -> None:
    with pytest.raises(UnreadError, match=r"^tool is not installed$"):
        host.run(["tool"])
    assert host.commands == []


def test_a_hung_command_is_killed_with_all_that_it_started(host: Host, tmp_path: Path) -> None:
    program(host, "tool", f"sleep 30 & echo $! > {tmp_path}/pid; sleep 30")
    started = time.monotonic()
    with pytest.raises(UnreadError, match=r"^tool gave no answer within 0\.3 s$"):
        host.run(["tool"], 0.3)
    assert time.monotonic() - started < 2.0
    grandchild = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        for _attempt in range(100):
            os.kill(grandchild, 0)
            if "Z" in Path(f"/proc/{grandchild}/stat").read_text().rsplit(")", 1)[1].split()[0]:
                raise ProcessLookupError
            time.sleep(0.01)


def test_a_command_that_leaves_its_output_open_is_hung(host: Host) -> None:
    program(host, "tool", "sleep 30 & echo done")
    with pytest.raises(UnreadError, match="no answer"):
        host.run(["tool"], 0.3)


def test_fifty_megabytes_are_cut_and_the_command_is_killed(host: Host) -> None:
    program(host, "tool", "exec head -c 50000000 /dev/zero")
    started = time.monotonic()
    with pytest.raises(UnreadError, match="wrote more than 1048576 bytes"):
        host.run(["tool"])
    assert time.monotonic() - started < 2.0


def test_an_endless_output_may_be_taken_up_to_its_last_full_line(host: Host) -> None:
    program(host, "tool", "exec yes 0123456789")
    lines = host.run(["tool"], limit=1000, whole=False).splitlines()
    assert set(lines) == {"0123456789"}
    assert len(lines) == 90


def test_bytes_that_are_no_text_are_replaced(host: Host) -> None:
    program(host, "tool", r"printf '\377\376 \303\244'")
    assert host.run(["tool"]) == "\ufffd\ufffd ä"


def test_a_failure_has_its_exit_code_and_first_words(host: Host) -> None:
    program(host, "tool", "echo >&2; echo no such thing >&2; exit 3")
    with pytest.raises(UnreadError, match=r"^tool x ended with 3: no such thing$"):
        host.run(["tool", "x"])
    assert host.run(["tool", "x"], accepted=(3,)) == ""


def test_input_is_given_even_to_a_command_that_does_not_read_it(host: Host) -> None:
    program(host, "tool", "cat")
    assert host.run(["tool"], given=b"text") == "text"
    program(host, "deaf", "echo heard nothing")
    assert host.run(["deaf"], given=b"x" * 100_000) == "heard nothing\n"


def test_commands_inherit_neither_secrets_nor_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "planted")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert set(environment()) <= {
        "PATH", "LC_ALL", "TZ", "SYSTEMD_COLORS", "SYSTEMD_PAGER", "HOME", "XDG_RUNTIME_DIR"
    }  # fmt: skip
    assert environment()["LC_ALL"] == "C"


def test_a_named_pipe_without_a_writer_holds_nobody_up(host: Host) -> None:
    os.mkfifo(host.root + "/pipe")
    with pytest.raises(UnreadError, match="not a regular file"):
        host.read("/pipe")


def test_a_device_is_not_read(host: Host) -> None:
    Path(host.root, "zero").symlink_to("/dev/zero")
    with pytest.raises(UnreadError, match="not a regular file"):
        host.read("/zero")


def test_a_link_is_not_followed_where_a_user_may_have_made_it(host: Host) -> None:
    Path(host.root, "secret").write_text("planted")
    Path(host.root, "link").symlink_to("secret")
    assert host.read("/link") == "planted"
    with pytest.raises(UnreadError):
        host.read("/link", follow=False)


def test_a_file_is_read_up_to_its_bound(host: Host) -> None:
    Path(host.root, "log").write_bytes(b"x" * 3_000_000)
    assert len(host.read("/log")) == 1 << 20
    assert len(host.read("/log", 10)) == 10


def test_what_could_not_be_read_is_noted_with_its_reason(host: Host) -> None:
    with host.noting("one", "two"):
        host.read("/absent")
    assert host.unread == {"one": "/absent is not there", "two": "/absent is not there"}


def test_other_mistakes_are_not_swallowed(host: Host) -> None:
    with pytest.raises(ZeroDivisionError), host.noting("one"):
        _ = 1 / 0
