"""PAM's stacks: gone through like libpam itself goes, and read on every release."""

from __future__ import annotations

import ctypes
import ctypes.util
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import snapshot_pam
from ansible.module_utils.snapshot_host import Host
from ansible.module_utils.snapshot_pam import evaluate, parse_pam, stack

FIXTURES = Path(__file__).parent.parent / "fixtures/host_snapshot"
RELEASES = ["bullseye", "bookworm", "trixie"]
DEBUG = next(iter(sorted(Path("/usr/lib").glob("*/security/pam_debug.so"))), None)
# What pam-auth-update of Debian 11, 12 and 13 weaves of harden's profiles (the same text on each), and what real logins
# on such trees proved: the right password enters, not after five wrong ones, and again when the time is over.
HARDENED = {
    "common-auth": """
auth	requisite	pam_faillock.so preauth
auth	[success=2 default=ignore]	pam_unix.so try_first_pass
auth	[default=die]	pam_faillock.so authfail
auth	requisite			pam_deny.so
auth	required			pam_permit.so
""",
    "common-account": """
account	required	pam_faillock.so
account	[success=1 new_authtok_reqd=done default=ignore]	pam_unix.so
account	requisite			pam_deny.so
account	required			pam_permit.so
""",
    "common-password": """
password	requisite			pam_pwquality.so retry=3
password	requisite	pam_pwhistory.so remember=5 use_authtok enforce_for_root
password	[success=1 default=ignore]	pam_unix.so obscure use_authtok try_first_pass yescrypt
password	requisite			pam_deny.so
password	required			pam_permit.so
""",
}


def tree(name: str, root: Path, **changed: str) -> Host:
    """A host with the files of a fixture (`### name` before each) in /etc/pam.d, some of them replaced."""
    text = (FIXTURES / name).read_text()
    if name.startswith("elsewhere/"):
        assert "never run there" in text.splitlines()[0]
    files = dict(part.split("\n", 1) for part in text.split("### ")[1:])
    folder = root / "etc/pam.d"
    folder.mkdir(parents=True)
    for file, body in {**files, **changed}.items():
        (folder / file).write_text(body)
    (root / "etc/security").mkdir()
    return Host(root=str(root))


def effective(found: dict[str, Any], service: str) -> dict[str, Any]:
    """What the stack of one service does."""
    return next(entry for entry in found["effective"] if entry["service"] == service)


@pytest.mark.parametrize("release", RELEASES)
def test_debian_as_it_comes_counts_no_failures_and_lets_empty_passwords_in(
    release: str, tmp_path: Path
) -> None:
    host = tree(f"pam_{release}.txt", tmp_path)
    found = snapshot_pam.pam(host)
    assert host.unread == {}
    assert (found["lockout"], found["quality"]) == ({"module": "none"}, {"module": "none"})
    for service in ("sshd", "login", "su", "sudo", "cron"):
        facts = effective(found, service)
        assert facts["right_password_enters"] and not facts["wrong_password_enters"], service
        assert facts["locked_enters"] and facts["empty_passwords"] and not facts["failures_counted"], service
    assert effective(found, "login")["fail_delay_seconds"] == 3.0
    assert "fail_delay_seconds" not in effective(found, "sshd")
    assert not effective(found, "su")["wheel_required"]
    passwd = effective(found, "passwd")
    assert (passwd["hash"], passwd["quality_before_unix"], passwd["remembered"]) == ("yescrypt", False, 0)
    assert ("pam_umask.so" in effective(found, "sshd")["session_modules"]) == (release == "trixie")


@pytest.mark.parametrize("release", RELEASES)
def test_debian_hardened_locks_checks_and_remembers(release: str, tmp_path: Path) -> None:
    su = (
        "auth sufficient pam_rootok.so\nauth required pam_wheel.so use_uid group=sudo\n@include common-auth\n"
    )
    host = tree(f"pam_{release}.txt", tmp_path, **HARDENED, su=su + "@include common-account\n")
    (tmp_path / "etc/security/faillock.conf").write_text("deny = 5\nunlock_time = 900\neven_deny_root\n")
    (tmp_path / "etc/security/pwquality.conf").write_text(
        "minlen = 10 # long\nminclass = 3\nenforce_for_root\n"
    )
    found = snapshot_pam.pam(host)
    for service in ("sshd", "login", "su", "sudo"):
        facts = effective(found, service)
        assert facts["right_password_enters"] and not facts["wrong_password_enters"], service
        assert facts["failures_counted"] and facts["lockout_in_account"], service
        assert not facts["locked_enters"] and not facts["empty_passwords"], service
    facts = effective(found, "su")
    assert (facts["wheel_required"], facts["wheel_asks_caller"], facts["wheel_group"]) == (True, True, "sudo")
    facts = effective(found, "passwd")
    assert (facts["quality_before_unix"], facts["remembered"], facts["hash"]) == (True, 5, "yescrypt")
    lockout = {"deny": 5, "unlock_time": 900, "fail_interval": 900, "even_deny_root": True}
    assert found["lockout"] == {"module": "pam_faillock.so", **lockout}
    quality = found["quality"]
    assert (quality["least_length"], quality["least_classes"]) == (10, 3)
    assert (quality["enforce_for_root"], quality["dictcheck"], quality["difok"]) == (True, 1, 1)


def test_an_order_that_locks_nobody_is_seen(tmp_path: Path) -> None:
    # pam_unix jumps over the count for a wrong password too: `default=2` in the place of `ignore`.
    auth = HARDENED["common-auth"].replace("success=2 default=ignore", "success=2 default=1")
    facts = effective(snapshot_pam.pam(tree("pam_bookworm.txt", tmp_path, **{"common-auth": auth})), "sshd")
    assert (facts["failures_counted"], facts["wrong_password_enters"]) == (False, False)


def test_an_order_that_lets_everybody_in_and_one_that_lets_nobody_in_are_seen(tmp_path: Path) -> None:
    open_to_all = "auth sufficient pam_permit.so\nauth required pam_unix.so\n"
    (tmp_path / "a").mkdir()
    facts = effective(
        snapshot_pam.pam(tree("pam_bookworm.txt", tmp_path / "a", **{"common-auth": open_to_all})), "sshd"
    )
    assert facts["wrong_password_enters"]
    closed = "auth required pam_deny.so\nauth sufficient pam_unix.so\n"
    (tmp_path / "b").mkdir()
    facts = effective(
        snapshot_pam.pam(tree("pam_bookworm.txt", tmp_path / "b", **{"common-auth": closed})), "sshd"
    )
    assert not facts["right_password_enters"]


def test_rhel_with_substacks_and_faillock_in_account(tmp_path: Path) -> None:
    found = snapshot_pam.pam(tree("elsewhere/pam_rhel9.txt", tmp_path))
    for service in ("sshd", "login", "su"):
        facts = effective(found, service)
        assert facts["right_password_enters"] and not facts["wrong_password_enters"], service
        assert facts["failures_counted"] and not facts["locked_enters"] and facts["lockout_in_account"], (
            service
        )
        assert not facts["empty_passwords"], service
    assert found["lockout"]["deny"] == 3 and found["lockout"]["unlock_time"] == 600  # the module's own
    facts = effective(found, "passwd")
    assert (facts["quality_before_unix"], facts["remembered"], facts["hash"]) == (True, 6, "yescrypt")
    assert effective(found, "su")["wheel_group"] == "wheel"
    assert "pam_loginuid.so" in effective(found, "sshd")["session_modules"]


def test_openeuler_with_arguments_in_the_stack(tmp_path: Path) -> None:
    found = snapshot_pam.pam(tree("elsewhere/pam_openeuler.txt", tmp_path))
    facts = effective(found, "sshd")
    assert facts["failures_counted"] and not facts["locked_enters"] and facts["empty_passwords"]
    lockout = found["lockout"]
    assert (lockout["deny"], lockout["unlock_time"], lockout["even_deny_root"]) == (3, 300, True)
    quality = found["quality"]
    assert (quality["least_length"], quality["least_classes"], quality["enforce_for_root"]) == (8, 3, True)
    assert effective(found, "passwd")["hash"] == "sm3"


def test_the_older_pam_tally2_and_pam_cracklib(tmp_path: Path) -> None:
    found = snapshot_pam.pam(tree("elsewhere/pam_tally2.txt", tmp_path))
    facts = effective(found, "sshd")
    assert facts["failures_counted"] and not facts["locked_enters"] and facts["empty_passwords"]
    assert (found["lockout"]["module"], found["lockout"]["deny"]) == ("pam_tally2.so", 5)
    # A credit of 1 for "others" is cracklib's own: eleven characters may then be ten.
    assert (found["quality"]["least_length"], found["quality"]["least_classes"]) == (10, 3)
    assert effective(found, "passwd")["remembered"] == 5


def test_what_overrules_what_in_pwquality(tmp_path: Path) -> None:
    """The folder is read first, then the file, then the arguments (measured on libpwquality 1.4.5)."""
    host = tree("pam_bookworm.txt", tmp_path, **HARDENED)
    folder = tmp_path / "etc/security/pwquality.conf.d"
    folder.mkdir()
    (folder / "50.conf").write_text("minlen = 15\ndifok = 4\n")
    (tmp_path / "etc/security/pwquality.conf").write_text("minlen = 12\ndcredit=-1\nucredit = -1\n")
    quality = snapshot_pam.pam(host)["quality"]
    assert (quality["minlen"], quality["difok"], quality["least_classes"]) == (12, 4, 2)
    argument = HARDENED["common-password"].replace("retry=3", "retry=3 minlen=6")
    (tmp_path / "etc/pam.d/common-password").write_text(argument)
    assert snapshot_pam.pam(host)["quality"]["least_length"] == 6


def test_a_quality_module_whose_no_is_ignored_does_not_count(tmp_path: Path) -> None:
    weak = HARDENED["common-password"].replace("requisite\t\t\tpam_pwquality", "optional pam_pwquality")
    found = snapshot_pam.pam(tree("pam_bookworm.txt", tmp_path, **{"common-password": weak}))
    assert not effective(found, "passwd")["quality_before_unix"]


def test_a_second_factor_and_whether_it_may_be_skipped(tmp_path: Path) -> None:
    sshd = "auth required pam_google_authenticator.so nullok\n@include common-auth\n@include common-account\n"
    facts = effective(snapshot_pam.pam(tree("pam_bookworm.txt", tmp_path, sshd=sshd)), "sshd")
    assert facts["second_factors"] == ["pam_google_authenticator.so"]
    assert facts["second_factor_optional"]


def test_files_that_include_each_other_are_a_reason_and_no_loop(tmp_path: Path) -> None:
    host = tree("pam_bookworm.txt", tmp_path, **{"common-auth": "@include sshd\n"})
    found = snapshot_pam.pam(host)
    assert "include each other" in host.unread["effective[sshd]"]
    assert "sshd" not in [entry["service"] for entry in found["effective"]]


def test_an_included_file_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    host = tree("pam_bookworm.txt", tmp_path, sshd="@include absent\n")
    snapshot_pam.pam(host)
    assert host.unread["effective[sshd]"] == "/etc/pam.d/absent is not there"


@pytest.mark.parametrize("control", ["[success=5 default=ignore]", "[success=1 default=ignore]"])
def test_a_jump_beyond_the_end_refuses(control: str) -> None:
    lines = parse_pam(f"auth required pam_permit.so\nauth {control} pam_unix.so\n")
    assert evaluate(lines, lambda _line: "success")[0] is False


CONTROLS = """required|requisite|sufficient|optional|[success=1 default=ignore]|[success=2 default=ignore]|[default=die]|
[success=done default=bad]|[success=ok default=1]|[success=ok default=ignore]|[success=done default=die]|
[success=reset default=bad]|[success=1 default=bad]|[success=ok new_authtok_reqd=ok ignore=ignore default=bad]"""


def lines_of(chance: random.Random, folder: Path, depth: int) -> str:
    """A random stack of pam_debug, which answers what it is told, with files that it includes."""
    found = []
    for _ in range(chance.randint(1, 6)):
        if depth and chance.random() < 0.25:
            part = folder / f"part{chance.randrange(10**9)}"
            part.write_text(lines_of(chance, folder, depth - 1))
            found.append(f"auth {chance.choice(['include', 'substack'])} {part}")
        else:
            control = chance.choice(CONTROLS.replace("\n", "").split("|"))
            found.append(
                f"auth {control} pam_debug.so auth={chance.choice(['success', 'auth_err', 'ignore'])}"
            )
    return "\n".join(found) + "\n"


class Conversation(ctypes.Structure):
    """What libpam would ask the user by; nothing asks here."""

    _fields_ = (("ask", ctypes.c_void_p), ("data", ctypes.c_void_p))


def libpam_lets_in(folder: Path) -> bool:
    """What libpam itself makes of the service `service` in a folder."""
    library = ctypes.CDLL("libpam.so.0")
    handle = ctypes.c_void_p()
    nobody = Conversation(None, None)
    place = str(folder).encode()
    assert (
        library.pam_start_confdir(b"service", b"root", ctypes.byref(nobody), place, ctypes.byref(handle)) == 0
    )
    answer = library.pam_authenticate(handle, 0x8000)
    library.pam_end(handle, answer)
    return bool(answer == 0)


@pytest.mark.skipif(DEBUG is None, reason="needs pam_debug.so of Linux-PAM 1.4 or newer")
def test_random_stacks_are_judged_as_libpam_judges_them() -> None:
    chance = random.Random(20261123)  # noqa: S311  (the same stacks each time)
    let_in = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "other").write_text("auth required pam_deny.so\n")
        for number in range(500):
            (folder / "service").write_text(lines_of(chance, folder, 2))
            lines = stack(lambda path: parse_pam((folder / path).read_text()), "service", "auth")
            ours = evaluate(lines, lambda line: line["arguments"][0].split("=")[1])[0]
            theirs = libpam_lets_in(folder)
            assert ours == theirs, (number, (folder / "service").read_text())
            let_in += theirs
    assert 50 < let_in < 450  # both happen
