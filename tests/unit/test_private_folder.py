"""The folder with a run's variables in clear: gone with its run, however that ended; never a living run's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from maintenance.private_folder import PREFIX, private_folder, sweep

HOLD = """
import sys
from maintenance.private_folder import private_folder
with private_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_it_is_for_this_user_alone_and_gone_at_the_end() -> None:
    with pytest.raises(ValueError, match="it broke"), private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "extravars").write_text("secret")
        raise ValueError("it broke")
    assert not folder.exists()


def test_a_killed_runs_folder_goes_with_the_next_run_and_a_living_runs_stays() -> None:
    dead, left = holder()
    living, kept = holder()
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    with private_folder():
        assert not left.exists()
        assert kept.exists()
    living.communicate()
    assert not kept.exists()


def test_what_a_killed_runs_engine_left_running_ends_with_the_next_run() -> None:
    dead, left = holder()
    living, kept = holder()
    sleep = [sys.executable, "-c", "import sys; sys.stdin.read()", "-e"]
    engines = [
        subprocess.Popen([*sleep, f"@{folder}/env/extravars"], stdin=subprocess.PIPE)
        for folder in (left, kept)
    ]
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    with private_folder():
        assert engines[0].wait(timeout=30) == -signal.SIGTERM
        assert engines[1].poll() is None
    for process in (*engines, living):
        process.communicate()


def test_a_folder_without_a_lock_goes_when_it_is_old(temporary: Path) -> None:
    young, old = temporary / f"{PREFIX}young", temporary / f"{PREFIX}old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    sweep(temporary)
    assert young.exists()
    assert not old.exists()


def test_a_link_that_somebody_laid_is_not_followed(temporary: Path) -> None:
    target = temporary / "target"
    target.mkdir()
    (target / ".alive").touch()
    (temporary / f"{PREFIX}link").symlink_to(target)
    sweep(temporary)
    assert (target / ".alive").exists()
