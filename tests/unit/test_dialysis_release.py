"""The signed bundle, the password's verifier, and the load driver's own arithmetic."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
from dialysis_code import DIALYSIS, load, script, service

build_release = script("build_release")
drive = script("drive")
scram = load("dialysis_scram", DIALYSIS / "roles/dialysis_database/filter_plugins/scram.py")
FOLDER = DIALYSIS / "releases" / "2.0.0"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "release_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return path


def test_the_bundle_is_verified_by_stock_tools_and_any_change_is_seen(tmp_path: Path, key: Path) -> None:
    build_release.build("2.0.0", tmp_path, key)
    signers = tmp_path / "signers"
    signers.write_text(f"release {key.with_suffix('.pub').read_text()}")
    manifest = tmp_path / "dialysis-2.0.0.sha256"
    verify = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "release", "-n", "dialysis-release"]
    verify += ["-s", f"{manifest}.sig"]
    assert subprocess.run(verify, input=manifest.read_bytes(), capture_output=True).returncode == 0
    assert subprocess.run(verify, input=manifest.read_bytes() + b"\n", capture_output=True).returncode != 0
    subprocess.run(["tar", "-xzf", "dialysis-2.0.0.tar.gz"], cwd=tmp_path, check=True)
    check = ["sha256sum", "--check", "--strict", "--status", manifest]
    assert subprocess.run(check, cwd=tmp_path).returncode == 0
    with (tmp_path / "2.0.0" / "RELEASE.json").open("a") as file:
        file.write(" ")
    assert subprocess.run(check, cwd=tmp_path).returncode != 0


def test_the_archive_depends_on_nothing_but_the_sources(tmp_path: Path) -> None:
    copy = tmp_path / "2.0.0"
    for path in reversed(build_release.sources(FOLDER)):
        target = copy / path.relative_to(FOLDER)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        target.chmod(0o700)
        os.utime(target, (1, 1))
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.pyc").write_bytes(b"x")
    (copy / ".editor").write_bytes(b"x")
    assert build_release.archive(copy, "2.0.0") == build_release.archive(FOLDER, "2.0.0")


def test_the_archive_holds_plain_files_of_root_below_one_folder() -> None:
    with tarfile.open(fileobj=io.BytesIO(build_release.archive(FOLDER, "2.0.0"))) as tar:
        for member in tar.getmembers():
            assert member.isfile()
            assert member.name.startswith("2.0.0/")
            assert (member.uid, member.gid, member.mode) == (0, 0, 0o644)


def test_versions_agree_wherever_they_stand() -> None:
    assert service("configuration").__package__ == "dialysis_service_2_0_0"
    init = (FOLDER / "dialysis_service" / "__init__.py").read_text(encoding="utf-8")
    assert 'VERSION = "2.0.0"' in init
    assert "VALUES ('2.0.0'," in (FOLDER / "database" / "schema.sql").read_text(encoding="utf-8")


def test_an_unknown_release_is_named_with_those_that_there_are(tmp_path: Path, key: Path) -> None:
    with pytest.raises(build_release.ReleaseError, match=r"no release 9\.9\.9; there are .*2\.0\.0"):
        build_release.build("9.9.9", tmp_path, key)


def test_the_verifier_is_that_of_the_standard() -> None:
    # RFC 7677, section 3: user "user", password "pencil".
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram.scram_verifier("pencil", salt)
    keys = verifier.rpartition("$")[2]
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert keys == "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="


def test_the_verifier_is_stable_and_does_not_hold_the_password() -> None:
    assert scram.scram_verifier("long random") == scram.scram_verifier("long random")
    assert hashlib.sha256(b"long random").hexdigest() not in scram.scram_verifier("long random")
    assert "long" not in scram.scram_verifier("long random")


def test_the_summary_counts_and_keeps_the_first_and_the_last_failure() -> None:
    file = io.StringIO()
    tally = drive.Tally(file)
    tally.booked(7, "reference")
    for kind in ("timeout", "http_503", "http_503"):
        tally.failed(kind)
    summary = tally.summary()
    assert summary["booked"] == 1
    assert summary["failures"] == {"http_503": 2, "timeout": 1}
    assert summary["failures_total"] == 3
    assert summary["first_failure"] < summary["last_failure"]
    assert file.getvalue().startswith("7\treference\t")


def test_the_pace_does_not_catch_up_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(drive.time, "monotonic", lambda: clock[0])
    waited: list[float] = []

    class Never(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(round(timeout or 0, 3))
            return False

    pace = drive.Pace(5)
    assert pace.wait(Never())
    clock[0] = 160.0
    assert pace.wait(Never())
    assert pace.wait(Never())
    assert waited == [0.2, 0.0, 0.2]


@pytest.mark.parametrize("words", [["--rate", "0"], ["--rate", "51"], ["--patients", "0"]])
def test_the_drivers_rate_is_bounded(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        drive.parse(["--url", "https://gate1", "--acknowledged", "x", *words])
    assert "rate above 0" in capsys.readouterr().err
