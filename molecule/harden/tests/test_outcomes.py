"""What hardening promises, tried with real logins and passwords."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab import remote
from lab.calls import Done
from lab.plan import Lab
from lab.scenario import wait_until

TRIES, SECONDS = 3, 4
ONLY = ("--limit", "gate1", "--reason", "passwords", "--set", "harden_sessions=none")


@pytest.fixture(scope="module")
def hardened(
    run: Callable[..., Done], root: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A host whose logins are locked for a few seconds only, and an account to try it with."""
    values = tmp_path_factory.mktemp("outcomes") / "values.yml"
    values.write_text(
        f"harden_lockout: {{attempts: {TRIES}, seconds: {SECONDS}, delay_seconds: 4}}\n"
        "harden_controls: [pam, password_policy]\nharden_skip: [LNX-AC-24]\n"
    )
    root("gate1", "useradd --create-home drill && echo 'drill:Right-1-and-long' | chpasswd")
    done = run("harden", *ONLY, "--vars", values)
    assert done.code == 0, done.err + done.out
    yield "gate1"
    assert run("undo_hardening", *ONLY).code == 0
    root("gate1", "userdel --remove drill")


def logs_in(lab: Lab, password: str) -> bool:
    """Whether the account gets in with this password, by the stacks that every login goes through."""
    command = f"cd /; runuser -u nobody -- sh -c \"printf '{password}\\n' | su drill -c true\""
    return remote.attempt(lab, "gate1", command).returncode == 0


def test_an_account_is_locked_after_some_tries_and_free_after_its_time(
    hardened: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    assert logs_in(lab, "Right-1-and-long")
    for _ in range(TRIES):
        assert not logs_in(lab, "wrong")
    assert not logs_in(lab, "Right-1-and-long"), "locked: the right password is refused as well"
    assert "drill" in root(hardened, "faillock --user drill")
    wait_until("the lock ends", 60, lambda: logs_in(lab, "Right-1-and-long"))


@pytest.mark.parametrize("weak", ["short1A", "alllowercaseletters", "drill12345"])
def test_a_weak_password_is_refused(hardened: str, lab: Lab, weak: str) -> None:
    assert remote.attempt(lab, hardened, f"printf '{weak}\\n{weak}\\n' | passwd drill").returncode != 0
    assert logs_in(lab, "Right-1-and-long")


def test_an_old_password_is_refused_and_a_good_one_is_taken(hardened: str, lab: Lab) -> None:
    good = "Quite-4-other words"
    assert remote.attempt(lab, hardened, f"printf '{good}\\n{good}\\n' | passwd drill").returncode == 0
    assert logs_in(lab, good)
    old = remote.attempt(lab, hardened, f"printf '{good}\\n{good}\\n' | passwd drill")
    assert old.returncode != 0
