"""Keys with the real ssh-keygen and ssh-agent: rotation, end, revocation, agents, passphrases, kinds, certificates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest

from maintenance import bookkeeping, keys, ledger, manifest, ordering, run, runbook, verification
from maintenance.errors import CallError, MaintenanceError, RefusedError
from maintenance.record import to_bytes
from maintenance.run import Call
from maintenance.signing import Signer, Signers, make_key
from maintenance.site import Settings, Site

REPOSITORY = Path(__file__).parents[2]
PYTHON = str(REPOSITORY / ".venv" / "bin" / "python")
VERIFY = REPOSITORY / "roles" / "witness" / "files" / "verify.sh"
FACTS = to_bytes({"schema": "maintenance-entry/1"})
HEADER = {
    "title": {"zh": "试验", "en": "Trial"},
    "clauses": ["4.1.5"],
    "changes": "nothing",
    "undo": "none needed",
    "approvals": 0,
}


def instant(**ago: int) -> str:
    """RFC 3339 UTC, so long ago."""
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact(text: str) -> str:
    """The same as ssh-keygen takes it."""
    return "".join(char for char in text if char.isdigit()) + "Z"


class Place:
    """A site with two engineers, a hospital, and a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "site"
        self.inventory.mkdir()
        (self.inventory / "hosts.yml").write_text(
            "all: {hosts: {one: {ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}}}\n"
        )
        for name in ("old", "new", "hospital", "witness"):
            make_key(folder / name, name)
        self.allow(self.line("old"))
        self.path = folder / "ledger"

    def public(self, name: str) -> str:
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def line(self, name: str, options: str = "", principal: str = "") -> str:
        """A line for an engineer's key."""
        more = f",{options}" if options else ""
        return f'{principal or f"{name}@v"} namespaces="maintenance-record"{more} {self.public(name)}\n'

    def allow(self, *lines: str) -> None:
        """The hospital's list from now on."""
        hospital = f'wang@h namespaces="maintenance-signers,maintenance-receipt" {self.public("hospital")}\n'
        witness = f'witness@h namespaces="maintenance-receipt" {self.public("witness")}\n'
        (self.inventory / "allowed_signers").write_text("".join([*lines, hospital, witness]))

    def site(self, name: str, key: Path | str = "", **more: Any) -> Site:
        """The site as this engineer has it."""
        settings = {"site": "trial", "principal": f"{name}@v", "ledger": str(self.path), **more}
        return Site(self.inventory, Settings(key=str(key or self.folder / name), **settings))

    def add(self, site: Site, name: str = "x") -> Path:
        return bookkeeping.add_entry(site, "entry", name, {"entry.json": FACTS})[0].path

    def receipt(self, seq: int, time: str) -> None:
        """The hospital's receipt, which the next entry takes in."""
        entry = ledger.entries(self.path)[seq - 1]
        text = verification.receipt_text("trial", seq, manifest.sha256_bytes(entry.manifest_bytes()), time)
        with ledger.locked(self.path, "trial") as book:
            signature = Signer("", self.folder / "witness").sign(text, "maintenance-receipt")
            book.keep_receipt(seq, text, signature)

    def krl(self, *names: str) -> Path:
        path = self.folder / "krl"
        public = [f"{self.folder / name}.pub" for name in names]
        subprocess.run(["ssh-keygen", "-k", "-q", "-f", str(path), *public], check=True)
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def by_shell(path: Path, *options: object) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", VERIFY, path, *map(str, options)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def sound(path: Path) -> bool:
    """What both verifiers say; they agree."""
    report = verification.verify(path)
    code, said = by_shell(path)
    assert (code == 0) is report.sound, (report.faults, said)
    return report.sound


# Rotation.


def test_a_key_is_followed_by_the_next_one(place: Place) -> None:
    place.add(place.site("old"))
    end = instant(minutes=-10)
    place.allow(place.line("old", f'valid-before="{compact(end)}"'), place.line("new"))
    place.add(place.site("old"), "overlap")  # its last day: it tells the ledger of the new list
    place.add(place.site("new"), "after")
    assert sound(place.path)
    assert [entry.manifest().signer for entry in ledger.entries(place.path)] == ["old@v"] * 4 + ["new@v"]


def test_what_an_ended_key_signed_in_its_time_stays_sound(place: Place) -> None:
    """Sound although the line has ended now: the time of each entry counts."""
    place.add(place.site("old"))
    (entry,) = place.path.glob("000002-*")
    ended = place.folder / "ended"
    ended.write_text(place.line("old", f'valid-before="{compact(instant(minutes=-1))}"'))
    assert verification.verify(place.path, signers=ended).sound
    ended.write_text(place.line("old", f'valid-before="{compact(instant(days=1))}"'))
    faults = verification.verify(place.path, signers=ended).faults
    assert entry.name in [fault.entry for fault in faults]


def test_new_work_by_an_ended_key_is_refused_before_anything_is_done(place: Place) -> None:
    place.allow(place.line("old", f'valid-before="{compact(instant(hours=1))}"'), place.line("new"))
    with pytest.raises(
        RefusedError, match=r"of old@v ended at \d{4}.*nothing was run. Another key: docs/keys"
    ):
        place.add(place.site("old"))
    assert not ledger.entries(place.path)


def test_a_key_whose_time_has_not_come_is_refused(place: Place) -> None:
    place.allow(place.line("old"), place.line("new", 'valid-after="20990101Z"'))
    with pytest.raises(RefusedError, match="of new@v is not valid before 2099-01-01T00:00:00Z"):
        place.add(place.site("new"))


def test_a_key_that_the_ledger_does_not_know_yet_cannot_bring_itself_in(place: Place) -> None:
    place.add(place.site("old"))
    place.allow(place.line("new"))
    with pytest.raises(
        RefusedError, match="Let an engineer whose key it knows append next, or the hospital sign"
    ):
        place.add(place.site("new"))
    assert len(ledger.entries(place.path)) == 2
    assert sound(place.path)


def sign_list(place: Place, name: str) -> None:
    """As the hospital does it, with stock ssh-keygen."""
    listed = place.inventory / "allowed_signers"
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", "maintenance-signers", "-f", str(place.folder / name)]
    subprocess.run([*command, str(listed)], check=True, capture_output=True)


def test_the_hospital_brings_in_a_key_when_the_old_one_is_lost(place: Place) -> None:
    place.add(place.site("old"))
    place.allow(place.line("new"))
    sign_list(place, "hospital")
    entry = place.add(place.site("new"))
    assert sound(place.path)
    assert (ledger.entries(place.path)[-2].path / "allowed_signers.sig").is_file()
    assert entry.name == "000004-entry-x"


def test_nobody_else_can_bring_in_a_key(place: Place) -> None:
    """The engineer's own signature, the witness's, and the hospital's over another list."""
    place.add(place.site("old"))
    place.allow(place.line("new"))
    for name in ("new", "witness"):
        (place.inventory / "allowed_signers.sig").unlink(missing_ok=True)
        sign_list(place, name)
        with pytest.raises(RefusedError, match="or the hospital sign"):
            place.add(place.site("new"))
    (place.inventory / "allowed_signers.sig").unlink()
    sign_list(place, "hospital")
    place.allow(place.line("new"), place.line("old"))
    with pytest.raises(RefusedError, match="or the hospital sign"):
        place.add(place.site("new"))
    assert len(ledger.entries(place.path)) == 2


def test_a_forged_change_of_the_list_is_seen_by_both_verifiers(place: Place) -> None:
    """The attacker writes the entry himself, with a signature beside the list that the hospital never made."""
    place.add(place.site("old"))
    listed = f'new@v namespaces="maintenance-record" {place.public("new")}\n'.encode()
    signer = Signer("new@v", place.folder / "new")
    files: dict[str, bytes | Path] = {
        "allowed_signers": listed,
        "allowed_signers.sig": signer.sign(listed, "maintenance-signers"),
    }
    with ledger.locked(place.path, "trial") as book:
        book.append("entry", "allowed-signers", files, signer=signer)
    assert not sound(place.path)


# The end of a key while a run goes on.


def small_runbook(place: Place, monkeypatch: pytest.MonkeyPatch, tasks: list[dict[str, Any]]) -> None:
    playbooks = place.folder / "playbooks"
    playbooks.mkdir()
    play = {
        "name": "Trial",
        "hosts": "all",
        "gather_facts": False,
        "vars": {"runbook": HEADER},
        "tasks": tasks,
    }
    (playbooks / "trial.yml").write_text(json.dumps([play]))
    monkeypatch.setattr(runbook, "PLAYBOOKS", playbooks)


def test_a_key_that_ends_during_a_run_leaves_what_is_known_and_a_sound_ledger(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run itself plays the hospital that ends the line; its record would not hold, so it is kept beside."""
    monkeypatch.setenv("HOME", str(place.folder))
    ended = place.line("old", f'valid-before="{compact(instant(seconds=1))}"') + place.line("new")
    listed = place.inventory / "allowed_signers"
    end = {"ansible.builtin.copy": {"dest": str(listed), "content": ended, "mode": "0644"}}
    small_runbook(place, monkeypatch, [end])
    with pytest.raises(MaintenanceError, match=r"could not be stored.*ended at.*it is kept, unsigned, in "):
        run.execute(Call("trial", place.site("old"), quiet=True))
    (kept,) = place.folder.glob("maintenance-rescue-*")
    assert json.loads((kept / "record.json").read_bytes())["outcome"] == "succeeded"
    assert verification.verify(place.path).unclosed
    assert sound(place.path)


def test_a_line_that_ends_soon_is_said(place: Place) -> None:
    place.allow(place.line("old", f'valid-before="{compact(instant(days=-7))}"'))
    site = place.site("old")
    (note,) = bookkeeping.note_on_key(site, site.signer()[0])
    assert "ends at" in note
    place.allow(place.line("old", f'valid-before="{compact(instant(days=-90))}"'))
    assert bookkeeping.note_on_key(site, site.signer()[0]) == []
    place.allow(place.line("old", f'valid-before="{compact(instant(days=-7))}"'), place.line("old"))
    assert bookkeeping.note_on_key(site, site.signer()[0]) == []


# Revocation.


@pytest.mark.parametrize("plain", [False, True])
def test_a_revoked_key_is_refused_before_a_run(
    place: Place, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    target = place.folder / "target"
    small_runbook(place, monkeypatch, [{"ansible.builtin.file": {"path": str(target), "state": "touch"}}])
    listed = place.inventory / "revoked"
    shutil.copy(place.folder / "old.pub" if plain else place.krl("old"), listed)
    with pytest.raises(RefusedError, match=r"the key SHA256:\S+ of old@v is revoked .*nothing was run"):
        ordering.execute(Call("trial", place.site("old"), quiet=True))
    assert not target.exists()
    assert not ledger.entries(place.path)
    shutil.copy(place.folder / "new.pub" if plain else place.krl("new"), listed)
    assert ordering.execute(Call("trial", place.site("old"), quiet=True)).record.outcome == "succeeded"


def test_a_list_that_is_named_and_is_none_is_no_list_without_keys(place: Place) -> None:
    with pytest.raises(CallError, match=r"the revocation list .*lost cannot be read"):
        place.add(place.site("old", revoked="lost"))
    (place.inventory / "revoked").write_text("nobody\n")
    with pytest.raises(CallError, match="revoked is not a revocation list"):
        place.add(place.site("old"))


@pytest.mark.parametrize("plain", [False, True])
def test_receipts_decide_which_entries_were_made_before_a_key_was_lost(place: Place, plain: bool) -> None:
    site = place.site("old")
    for name in ("before", "after", "unseen"):
        place.add(site, name)
    for seq, days in ((1, 9), (2, 8), (3, 2)):
        place.receipt(seq, instant(days=days))
    revoked = place.folder / "old.pub" if plain else place.krl("old")
    lost = instant(days=5)

    faults = verification.verify(place.path, revoked=revoked).faults
    assert [fault.entry[:6] for fault in faults] == ["000001", "000002", "000003", "000004"]
    assert f"the hospital received it at {instant(days=8)[:10]}" in faults[1].what
    assert "--revoked-since TIME" in faults[1].what
    assert "no receipt of the hospital proves" in faults[3].what

    faults = verification.verify(place.path, revoked=revoked, revoked_since=lost).faults
    assert [fault.entry for fault in faults] == ["000003-entry-after", "000004-entry-unseen"]
    assert f"revoked since {lost}, and the hospital received it after that" in faults[0].what
    assert "no receipt of the hospital proves" in faults[1].what

    code, said = by_shell(place.path, "--revoked", revoked, "--revoked-since", lost)
    assert code == 4
    named = [line.split(": ")[1] for line in said.splitlines() if line.startswith("fault")]
    assert named == ["000003-entry-after", "000004-entry-unseen"]


def test_the_hospitals_heads_prove_the_time_as_receipts_do(place: Place) -> None:
    place.add(place.site("old"))
    heads = place.folder / "heads"
    lines = [
        f"{entry.seq} {manifest.sha256_bytes(entry.manifest_bytes())} {instant(days=9)}\n"
        for entry in ledger.entries(place.path)
    ]
    heads.write_text("".join(lines))
    options: dict[str, Any] = {"revoked": place.krl("old"), "heads": heads}
    assert not verification.verify(place.path, **options).sound
    assert verification.verify(place.path, **options, revoked_since=instant(days=5)).sound
    assert (
        by_shell(
            place.path, "--revoked", place.krl("old"), "--heads", heads, "--revoked-since", instant(days=5)
        )[0]
        == 0
    )


def test_a_receipt_by_a_revoked_key_of_the_hospital_proves_nothing(place: Place) -> None:
    place.add(place.site("old"))
    for seq in (1, 2):
        place.receipt(seq, instant(days=9))
    revoked = place.krl("old", "witness")
    assert len(verification.verify(place.path, revoked=revoked, revoked_since=instant(days=5)).faults) == 4
    code, said = by_shell(place.path, "--revoked", revoked, "--revoked-since", instant(days=5))
    assert (code, said.count("fault: ")) == (4, 4)


# Where the private half is.


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A running ssh-agent that holds nothing."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    yield
    process.terminate()
    process.communicate()


@pytest.mark.usefixtures("agent")
def test_a_key_that_only_an_agent_holds_is_named_by_its_public_half(place: Place) -> None:
    subprocess.run(["ssh-add", "-q", str(place.folder / "old")], check=True)
    (place.folder / "old").rename(place.folder / "taken-away")
    place.add(place.site("old", place.folder / "old.pub"))
    assert sound(place.path)
    subprocess.run(["ssh-add", "-q", "-D"], check=True, capture_output=True)
    with pytest.raises(RefusedError, match="no ssh-agent holds the private half of"):
        place.add(place.site("old", place.folder / "old.pub"))
    assert len(ledger.entries(place.path)) == 2


def lock(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret-words", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.usefixtures("agent")
def test_a_key_with_a_passphrase_signs_from_the_agent(place: Place) -> None:
    subprocess.run(["ssh-add", "-q", str(place.folder / "old")], check=True)
    lock(place.folder / "old")
    (place.folder / "old.pub").unlink()  # the locked file tells its public half all the same
    place.add(place.site("old"))
    assert sound(place.path)


ADD = """
import sys
sys.path.insert(0, {repository!r})
from maintenance import bookkeeping
from maintenance.errors import MaintenanceError
from maintenance.site import Settings, Site
from pathlib import Path
site = Site(Path({inventory!r}), Settings(site="trial", principal="old@v", key={key!r}, ledger={ledger!r}))
try:
    for name in ("a", "b"):
        print(bookkeeping.add_entry(site, "entry", name, {{"entry.json": b"{{}}"}})[0].folder)
except MaintenanceError as error:
    sys.exit(f"{{error.exit_code}} {{error}}")
"""


def command(place: Place) -> list[str]:
    text = ADD.format(
        repository=str(REPOSITORY),
        inventory=str(place.inventory),
        key=str(place.folder / "old"),
        ledger=str(place.path),
    )
    return [PYTHON, "-c", text]


def without_agent() -> dict[str, str]:
    return {key: text for key, text in os.environ.items() if not key.startswith(("SSH_A", "DISPLAY"))}


def test_a_passphrase_without_agent_and_terminal_is_one_line_and_no_waiting(place: Place) -> None:
    lock(place.folder / "old")
    done = subprocess.run(
        command(place),
        stdin=subprocess.PIPE,  # open and silent: whoever read from it would wait for ever
        capture_output=True,
        text=True,
        timeout=60,
        env=without_agent(),
        start_new_session=True,
        check=False,
    )
    assert done.stderr.startswith("3 the key ")
    assert (
        "has a passphrase, no ssh-agent holds it, and there is no terminal to ask on: ssh-add" in done.stderr
    )
    assert not ledger.entries(place.path)


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder with a name of a usual length."""
    with tempfile.TemporaryDirectory(prefix="keys-") as folder:
        yield Path(folder)


def test_a_temporary_folder_with_a_long_name_does_not_keep_the_agent_from_its_socket(place: Place) -> None:
    lock(place.folder / "old")
    temporary = place.folder / ("t" * 100)
    temporary.mkdir()
    environment = {**without_agent(), "TMPDIR": str(temporary)}
    child = pexpect.spawn(PYTHON, command(place)[1:], env=environment, encoding="utf-8", timeout=60)
    child.expect("Enter passphrase for .*old: ")
    child.sendline("secret-words")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert list(temporary.iterdir()) == []


def test_a_passphrase_is_asked_for_once_on_the_terminal(place: Place, short: Path) -> None:
    lock(place.folder / "old")
    temporary = short
    environment = {**without_agent(), "TMPDIR": str(temporary)}
    child = pexpect.spawn(PYTHON, command(place)[1:], env=environment, encoding="utf-8", timeout=60)
    child.expect("Enter passphrase for .*old: ")
    agents = ["pgrep", "-f", f"ssh-agent -a {temporary}/maintenance-agent-"]
    assert subprocess.run(agents, capture_output=True, check=False).stdout
    child.sendline("secret-words")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert "000003-entry-b" in child.before
    assert "assphrase" not in child.before
    assert sound(place.path)
    assert list(temporary.iterdir()) == []
    assert subprocess.run(agents, capture_output=True, check=False).stdout == b"", (
        "its own agent ends with it"
    )


def test_no_passphrase_given_is_refused_and_nothing_is_done(place: Place) -> None:
    lock(place.folder / "old")
    child = pexpect.spawn(PYTHON, command(place)[1:], env=without_agent(), encoding="utf-8", timeout=60)
    child.expect("Enter passphrase for .*old: ")
    child.sendline("")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "3 the passphrase of" in child.before
    assert not ledger.entries(place.path)


def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(place: Place) -> None:
    (place.folder / "old").chmod(0o640)
    with pytest.raises(RefusedError, match=r"others can read the key .*old \(mode 0640\).*: chmod 600 "):
        place.add(place.site("old"))
    assert not ledger.entries(place.path)


# Kinds of keys.


@pytest.mark.parametrize(("kind", "bits"), [("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "521")])
@pytest.mark.parametrize("with_public", [True, False])
def test_other_kinds_of_keys_sign(place: Place, kind: str, bits: str, with_public: bool) -> None:
    path = place.folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", str(path)], check=True)
    place.allow(place.line("other"))
    if not with_public:
        path.with_name("other.pub").unlink()
    place.add(place.site("other"))
    assert sound(place.path)


def certificate(place: Place, principals: str, *options: str) -> Path:
    made = ["ssh-keygen", "-q", "-s", str(place.folder / "hospital"), "-I", "id", "-n", principals, *options]
    subprocess.run([*made, str(place.folder / "new.pub")], check=True)
    return place.folder / "new-cert.pub"


def test_a_certificate_of_the_hospitals_authority_signs(place: Place) -> None:
    authority = f'*@v cert-authority,namespaces="maintenance-record" {place.public("hospital")}\n'
    (place.inventory / "allowed_signers").write_text(authority)
    place.add(place.site("new", certificate(place, "new@v")))
    assert sound(place.path)
    with pytest.raises(RefusedError, match="does not allow the key"):
        place.add(place.site("new"))  # the bare key is not what the authority signed


@pytest.mark.parametrize(
    ("principals", "options"),
    [("other@v", ()), ("new@v", ("-V", "20200101:20210101"))],
    ids=["name", "ended"],
)
def test_a_certificate_for_another_or_out_of_date_is_refused(
    place: Place, principals: str, options: tuple[str, ...]
) -> None:
    authority = f'*@v cert-authority,namespaces="maintenance-record" {place.public("hospital")}\n'
    (place.inventory / "allowed_signers").write_text(authority)
    with pytest.raises(RefusedError, match="does not allow the certificate"):
        place.add(place.site("new", certificate(place, principals, *options)))
    assert not ledger.entries(place.path)


# The table.


def test_the_table_tells_who_may_sign_what_until_when(place: Place) -> None:
    place.allow(
        place.line("old", 'valid-after="20200101Z",valid-before="20200701Z"'),
        place.line("new", f'valid-before="{compact(instant(days=-3))}"'),
        f"free@v {place.public('witness')}\n",
    )
    signers = Signers(place.inventory / "allowed_signers", place.krl("witness"))
    lines = keys.table(signers, ledger.now())
    assert [(line.principals, line.namespaces, line.state) for line in lines] == [
        ("old@v", "maintenance-record", "ended"),
        ("new@v", "maintenance-record", "valid"),
        ("free@v", None, "revoked"),
        ("wang@h", "maintenance-signers,maintenance-receipt", "valid"),
        ("witness@h", "maintenance-receipt", "revoked"),
    ]
    assert (lines[0].valid_after, lines[0].valid_before) == ("2020-01-01T00:00:00Z", "2020-07-01T00:00:00Z")
    assert lines[1].days_left in (2, 3)


def test_a_time_that_is_none_is_named(place: Place) -> None:
    place.allow(place.line("old", 'valid-before="tomorrow"'))
    with pytest.raises(CallError, match="the line of old@v has a time that is not YYYYMMDD"):
        place.add(place.site("old"))
