"""The receiver's password: made once, kept by one account, and only what PostgreSQL keeps of it leaves the host."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import os
import pwd
from pathlib import Path
from types import ModuleType

import pytest

from lab.plan import REPOSITORY


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """library/replication_account.py."""
    spec = importlib.util.spec_from_file_location(
        "account", REPOSITORY / "library" / "replication_account.py"
    )
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def asked(path: Path) -> dict[str, object]:
    owner = pwd.getpwuid(os.getuid()).pw_name
    return {
        "state": "present",
        "server": "db1",
        "port": 5432,
        "name": "backup_receiver",
        "password_file": str(path),
        "owner": owner,
    }


def test_the_password_is_made_once_and_stays_in_its_file(module: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / ".pgpass"
    path.write_text("other:5432:x:y:kept\n")
    first = module.receiver(asked(path), False)
    again = module.receiver(asked(path), False)
    assert (first["changed"], again["changed"]) == (True, False)
    assert first["verifier"] == again["verifier"]
    lines = path.read_text().splitlines()
    assert lines[0] == "other:5432:x:y:kept"
    password = lines[1].removeprefix("db1:5432:replication:backup_receiver:")
    assert len(password) >= 40
    assert password not in first["verifier"]
    assert oct(path.stat().st_mode)[-3:] == "600"


def test_an_account_that_is_needed_no_more_leaves_the_others_passwords(
    module: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / ".pgpass"
    path.write_text("other:5432:x:y:kept\n")
    module.receiver(asked(path), False)
    gone = {**asked(path), "state": "absent"}
    assert module.receiver(gone, True)["changed"] is True
    assert len(path.read_text().splitlines()) == 2
    assert module.receiver(gone, False)["changed"] is True
    assert path.read_text() == "other:5432:x:y:kept\n"
    assert module.receiver(gone, False)["changed"] is False


def test_a_plan_writes_nothing(module: ModuleType, tmp_path: Path) -> None:
    assert module.receiver(asked(tmp_path / ".pgpass"), True)["changed"] is True
    assert not (tmp_path / ".pgpass").exists()


def test_the_verifier_lets_that_password_in_and_no_other(module: ModuleType) -> None:
    kind, rest, keys = module.scram("a password").split("$")
    iterations, salt = rest.split(":")
    stored = base64.b64decode(keys.split(":")[0])
    assert kind == "SCRAM-SHA-256"

    def key(password: str) -> bytes:
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
        return hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()

    assert key("a password") == stored
    assert key("another") != stored
