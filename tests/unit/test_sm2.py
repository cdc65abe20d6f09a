"""SM2 with SM3: made by stock OpenSSL, checked by stock OpenSSL, and what an attacker does to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from maintenance import bookkeeping, ledger, sm2, verification
from maintenance.errors import CallError, RefusedError
from maintenance.record import to_bytes
from maintenance.signing import SignatureError, make_key
from maintenance.site import Settings, Site

REPOSITORY = Path(__file__).parents[2]
VERIFY = REPOSITORY / "roles" / "witness" / "files" / "verify.sh"
FACTS = to_bytes({"schema": "maintenance-entry/1"})
STOCK = ["openssl", "pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pubin"]


def make_sm2(path: Path, passphrase: str = "") -> Path:
    """A key as docs/keys.md says."""
    command = ["openssl", "genpkey", "-algorithm", "SM2", "-out", str(path)]
    command += ["-aes256", "-pass", f"pass:{passphrase}"] if passphrase else []
    subprocess.run(command, check=True, capture_output=True)
    path.chmod(0o600)
    return path


class Place:
    """A site that asks for SM2, with a ledger of three entries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "site"
        self.inventory.mkdir()
        make_key(folder / "engineer", "engineer")
        public = " ".join((folder / "engineer.pub").read_text().split()[:2])
        (self.inventory / "allowed_signers").write_text(
            f'engineer@v namespaces="maintenance-record" {public}\n'
        )
        (self.inventory / "hosts.yml").write_text("all: {hosts: {one: {ansible_connection: local}}}\n")
        self.key = make_sm2(folder / "sm2.pem")
        self.site = self.with_key(self.key)
        self.path = self.site.ledger
        self.add("first")
        self.add("second")

    def with_key(self, key: Path | None) -> Site:
        """The same site with this SM2 key."""
        return Site(
            self.inventory,
            Settings(
                site="trial",
                principal="engineer@v",
                key=str(self.folder / "engineer"),
                ledger=str(self.folder / "ledger"),
                sm2_key=str(key) if key else "",
            ),
        )

    def add(self, name: str, site: Site | None = None) -> Path:
        """One entry."""
        return bookkeeping.add_entry(site or self.site, "entry", name, {"entry.json": FACTS})[0].path

    def entry(self, seq: int) -> Path:
        """Its folder."""
        return ledger.entries(self.path)[seq - 1].path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def by_shell(path: Path, *options: object) -> tuple[int, str]:
    """What verify.sh says."""
    done = subprocess.run(
        ["sh", VERIFY, path, *map(str, options)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_every_entry_is_signed_twice_and_both_verifiers_see_it(place: Place) -> None:
    report = verification.verify(place.path)
    assert report.sound, report.faults
    assert (report.entries, report.sm2_checked, report.sm2_unchecked) == (3, 3, 0)
    code, said = by_shell(place.path)
    assert code == 0
    assert "note: 3 SM2 signatures hold" in said


def test_stock_openssl_with_the_standard_identity_accepts_it_and_without_it_does_not(place: Place) -> None:
    public = place.folder / "public.pem"
    subprocess.run(["openssl", "pkey", "-in", place.key, "-pubout", "-out", public], check=True)
    entry = place.entry(2)
    command = [*STOCK, "-inkey", public, "-in", entry / "MANIFEST", "-sigfile", entry / "MANIFEST.sm2sig"]
    identity = ["-pkeyopt", "distid:1234567812345678"]
    assert subprocess.run([*command, *identity], capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_the_first_entry_brings_the_key_and_the_next_ones_do_not_repeat_it(place: Place) -> None:
    assert [path.parent.name for path in ledger.sm2_lists(place.path)] == ["000001-genesis-trial"]
    assert sm2.parse_list((place.entry(1) / "sm2_signers").read_bytes()) == {
        "engineer@v": subprocess.run(
            ["openssl", "pkey", "-in", place.key, "-pubout"], capture_output=True, text=True, check=True
        ).stdout
    }


def test_another_key_and_no_key_any_more_are_told_by_the_entry_that_begins_it(place: Place) -> None:
    changed = place.add("third", place.with_key(make_sm2(place.folder / "next.pem")))
    assert (changed / "sm2_signers").is_file()
    given_up = place.add("fourth", place.with_key(None))
    assert (given_up / "sm2_signers").read_bytes() == b""
    assert not (given_up / "MANIFEST.sm2sig").exists()
    place.add("fifth", place.with_key(None))
    report = verification.verify(place.path)
    assert report.sound, report.faults
    assert (report.entries, report.sm2_checked) == (6, 4)
    assert by_shell(place.path)[0] == 0


def test_a_list_of_the_readers_own_shows_that_the_second_signature_was_given_up(place: Place) -> None:
    own = place.folder / "own"
    shutil.copy(place.entry(1) / "sm2_signers", own)
    place.add("third", place.with_key(None))
    assert verification.verify(place.path).sound
    faults = verification.verify(place.path, sm2_signers=own).faults
    assert [fault.entry for fault in faults] == ["000004-entry-third"]
    assert "MANIFEST.sm2sig is missing, though engineer@v signs by SM2 too" in faults[0].what
    code, said = by_shell(place.path, "--sm2-signers", own)
    assert code == 4
    assert "fault: 000004-entry-third: MANIFEST.sm2sig is missing" in said


def test_a_ledger_may_begin_to_sign_twice_later(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.rmtree(place.path)
    place.add("plain", place.with_key(None))
    place.add("twice")
    report = verification.verify(place.path)
    assert report.sound, report.faults
    assert (report.entries, report.sm2_checked) == (3, 1)
    assert by_shell(place.path)[0] == 0


def strip(place: Place) -> None:
    (place.entry(2) / "MANIFEST.sm2sig").unlink()


def take_that_of_another_entry(place: Place) -> None:
    shutil.copy(place.entry(3) / "MANIFEST.sm2sig", place.entry(2) / "MANIFEST.sm2sig")


def sign_by_another_key(place: Place) -> None:
    other = sm2.Key(make_sm2(place.folder / "other.pem"))
    (place.entry(2) / "MANIFEST.sm2sig").write_bytes(other.sign((place.entry(2) / "MANIFEST").read_bytes()))


def sign_under_openssls_own_identity(place: Place) -> None:
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", place.key]
    command += ["-in", place.entry(2) / "MANIFEST", "-out", place.entry(2) / "MANIFEST.sm2sig"]
    subprocess.run(command, check=True)


def empty_it(place: Place) -> None:
    (place.entry(2) / "MANIFEST.sm2sig").write_bytes(b"")


def link_it(place: Place) -> None:
    place.entry(2).joinpath("MANIFEST.sm2sig").rename(place.folder / "elsewhere")
    (place.entry(2) / "MANIFEST.sm2sig").symlink_to(place.folder / "elsewhere")


def exchange_the_list(place: Place) -> None:
    other = sm2.Key(make_sm2(place.folder / "other.pem"))
    (place.entry(1) / "sm2_signers").write_bytes(sm2.render_list({"engineer@v": other.public}))


@pytest.mark.parametrize(
    ("attack", "said", "said_by_shell"),
    [
        (strip, "MANIFEST.sm2sig is missing", "MANIFEST.sm2sig is missing"),
        (
            take_that_of_another_entry,
            "SM2 signature of engineer@v does not hold",
            "does not hold for engineer@v",
        ),
        (sign_by_another_key, "SM2 signature of engineer@v does not hold", "does not hold for engineer@v"),
        (sign_under_openssls_own_identity, "SM2 signature of engineer@v", "does not hold for engineer@v"),
        (empty_it, "SM2 signature of engineer@v does not hold", "does not hold for engineer@v"),
        (link_it, "MANIFEST.sm2sig is not a regular file", "is a link or a device"),
        (
            exchange_the_list,
            "sm2_signers is not the file that was signed",
            "sm2_signers is not what was signed",
        ),
    ],
)
def test_what_is_done_to_a_second_signature_is_seen(
    place: Place, attack: Callable[[Place], None], said: str, said_by_shell: str
) -> None:
    attack(place)
    faults = verification.verify(place.path).faults
    assert any(said in fault.what and fault.meaning for fault in faults), faults
    code, text = by_shell(place.path)
    assert code == 4
    assert said_by_shell in text


def test_a_second_signature_that_nobody_promised_is_a_fault(place: Place) -> None:
    """Or the name would let anything into a signed folder."""
    shutil.rmtree(place.path)
    (place.add("plain", place.with_key(None)) / "MANIFEST.sm2sig").write_bytes(b"anything")
    faults = verification.verify(place.path).faults
    assert ["no sm2_signers names a key of engineer@v" in fault.what for fault in faults] == [True]
    code, text = by_shell(place.path)
    assert code == 4
    assert "no sm2_signers names a key of engineer@v" in text


def test_the_name_is_allowed_beside_a_manifest_only(place: Place) -> None:
    (place.entry(2) / "attachments").mkdir()
    (place.entry(2) / "attachments" / "MANIFEST.sm2sig").write_bytes(b"x")
    assert not verification.verify(place.path).sound
    assert by_shell(place.path)[0] == 4


def no_openssl(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without it."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("ssh-keygen", "ssh-add", "sh", "busybox"):
        (tools / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tools))
    sm2.why_unavailable.cache_clear()


@pytest.fixture
def _afresh() -> object:
    yield
    sm2.why_unavailable.cache_clear()


@pytest.mark.usefixtures("_afresh")
def test_without_openssl_nothing_is_done_and_verification_says_what_it_did_not_check(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_openssl(place.folder, monkeypatch)
    with pytest.raises(
        CallError, match=r"asks for an SM2 signature, and openssl is missing.*nothing was done"
    ):
        place.add("third")
    assert len(ledger.entries(place.path)) == 3
    report = verification.verify(place.path)
    assert report.sound
    assert report.sm2_unchecked == 3
    assert "whether 3 SM2 signatures hold: openssl is missing" in report.blind_spots()[0]
    strip(place)
    assert not verification.verify(place.path).sound


@pytest.mark.parametrize(
    ("damage", "error", "why"),
    [
        (lambda key: key.unlink(), CallError, "is not there; nothing was done: openssl genpkey"),
        (lambda key: key.write_text("no key"), RefusedError, "cannot be used"),
        (lambda key: key.chmod(0o644), RefusedError, "others can read the key"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_before_anything_is_done(
    place: Place, damage: Callable[[Path], None], error: type[Exception], why: str
) -> None:
    damage(place.key)
    with pytest.raises(error, match=why):
        place.add("third")
    assert len(ledger.entries(place.path)) == 3


def test_a_key_of_another_kind_is_none_of_sm2(place: Place) -> None:
    path = place.folder / "rsa.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", path], check=True, capture_output=True)
    with pytest.raises(CallError, match="holds no SM2 key"):
        place.add("third", place.with_key(path))
    public = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, text=True
    ).stdout
    with pytest.raises(SignatureError, match="none of SM2"):
        sm2.verify(public, b"x", b"y")


ADD = """
import sys
sys.path.insert(0, {repository!r})
from maintenance import bookkeeping
from maintenance.errors import MaintenanceError
from maintenance.site import Settings, Site
from pathlib import Path
site = Site(Path({inventory!r}), Settings(site="trial", principal="engineer@v", key={key!r}, ledger={ledger!r},
                                          sm2_key={sm2!r}))
try:
    for name in ("a", "b"):
        print(bookkeeping.add_entry(site, "entry", name, {{"entry.json": b"{{}}"}})[0].folder)
except MaintenanceError as error:
    sys.exit(f"{{error.exit_code}} {{error}}")
"""


def script(place: Place, key: Path) -> list[str]:
    text = ADD.format(
        repository=str(REPOSITORY),
        inventory=str(place.inventory),
        key=str(place.folder / "engineer"),
        ledger=str(place.path),
        sm2=str(key),
    )
    return [str(REPOSITORY / ".venv" / "bin" / "python"), "-c", text]


def test_a_passphrase_is_asked_for_once_on_the_terminal(place: Place) -> None:
    command = script(place, make_sm2(place.folder / "locked.pem", "secret-words"))
    child = pexpect.spawn(command[0], command[1:], encoding="utf-8", timeout=30)
    child.expect("Passphrase of the SM2 key .*locked.pem: ")
    child.sendline("secret-words")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert "000005-entry-b" in child.before
    assert "assphrase" not in child.before
    assert verification.verify(place.path).sound


def test_a_passphrase_without_a_terminal_is_one_line_and_no_waiting(place: Place) -> None:
    command = script(place, make_sm2(place.folder / "locked.pem", "secret-words"))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, start_new_session=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("3 the SM2 key ")
    assert "has a passphrase and there is no terminal to ask on; nothing was done" in done.stderr
    assert len(ledger.entries(place.path)) == 3


@pytest.mark.parametrize("data", [b"x", b"a@b\nno key\n", b"\xff", b"a@b\n"])
def test_what_is_no_list_is_named(data: bytes) -> None:
    with pytest.raises(SignatureError, match="malformed"):
        sm2.parse_list(data)


def test_a_list_that_cannot_be_read_is_a_fault_of_its_entry(place: Place) -> None:
    (place.entry(1) / "sm2_signers").write_bytes(b"nonsense")
    faults = verification.verify(place.path).faults
    assert any(
        fault.entry == "000001-genesis-trial" and "sm2_signers is malformed" in fault.what for fault in faults
    )
