"""The client against the real witness.sh; only sshd between them is left out (the lab has it)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ledger_builder import ENGINEER, RECORD, SITE, WITNESS, Ledger, digest, make_key, public, receipt

from maintenance import verification, witness
from maintenance.errors import RefusedError
from maintenance.ledger import Book
from maintenance.witness import WitnessError, WitnessForkError, WitnessSettings, WitnessUnreachableError

SCRIPT = Path(__file__).parents[2] / "roles" / "witness" / "files" / "witness.sh"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """The engineer's key, and the witness's where its script expects it."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "store" / SITE).mkdir(parents=True)
    return {"engineer": make_key(tmp_path, "engineer"), "witness": make_key(tmp_path / "conf", "witness_key")}


@pytest.fixture
def ledger(tmp_path: Path, keys: dict[str, Path]) -> Ledger:
    """A ledger of three entries whose engineer the hospital accepts."""
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    made.run("20261122T130000Z-inspect")
    (tmp_path / "conf" / "allowed_signers").write_text(made.allowed_signers)
    return made


@pytest.fixture
def transport(tmp_path: Path, ledger: Ledger) -> list[str]:
    """What sshd would start."""
    return ["sh", str(SCRIPT), ledger.site, str(tmp_path / "store"), str(tmp_path / "conf")]


@pytest.fixture
def settings(keys: dict[str, Path]) -> WitnessSettings:
    """What site.yml says."""
    key = public(keys["witness"])
    return WitnessSettings(
        host="witness.hospital.example", principal=WITNESS, public_key=f"{key} made on backup1"
    )


def deliver(
    settings: WitnessSettings, ledger: Ledger, seq: int, transport: list[str]
) -> verification.Receipt:
    """Send one entry."""
    entry = ledger.entries[seq - 1]
    _, kind, run = entry.name.split("-", 2)
    manifest, signature = (entry / "MANIFEST").read_bytes(), (entry / "MANIFEST.sig").read_bytes()
    return witness.send(
        settings, manifest, signature, site=ledger.site, seq=seq, kind=kind, run=run, transport=transport
    )


def says(text: bytes, tmp_path: Path, code: int = 0) -> list[str]:
    """A stand-in that swallows the request and answers with these bytes."""
    (tmp_path / "answer").write_bytes(text)
    return ["sh", "-c", f"cat >/dev/null; cat '{tmp_path / 'answer'}'; exit {code}"]


def framed(text: bytes, signature: bytes) -> bytes:
    """A receipt as witness.sh frames it."""
    return f"receipt {len(text)} {len(signature)}\n".encode() + text + signature


def test_an_entry_is_delivered_and_its_receipt_holds(
    settings: WitnessSettings, ledger: Ledger, transport: list[str]
) -> None:
    got = deliver(settings, ledger, 1, transport)
    assert (got.site, got.seq, got.sha256) == (SITE, 1, digest((ledger.entries[0] / "MANIFEST").read_bytes()))
    assert deliver(settings, ledger, 1, transport) == got
    deliver(settings, ledger, 2, transport)
    listed = witness.heads(settings, transport=transport)
    assert [head.seq for head in listed] == [1, 2]
    assert (listed[0].sha256, listed[0].time) == (got.sha256, got.time)


def test_an_empty_witness_has_an_empty_list(settings: WitnessSettings, transport: list[str]) -> None:
    assert witness.heads(settings, transport=transport) == []


def test_everything_without_a_receipt_is_delivered_in_order(
    settings: WitnessSettings, ledger: Ledger, transport: list[str], tmp_path: Path
) -> None:
    book = Book(ledger.root, SITE)
    assert [got.seq for got in witness.bring_up_to_date(settings, tmp_path, book, transport=transport)] == [
        1,
        2,
        3,
    ]
    assert witness.bring_up_to_date(settings, tmp_path, book, transport=transport) == []
    assert verification.verify(ledger.root).receipts == 3
    (ledger.root / "receipts" / "000002.receipt").unlink()  # lost on the way home
    assert [got.seq for got in witness.bring_up_to_date(settings, tmp_path, book, transport=transport)] == [2]


def test_receipts_that_the_chain_has_taken_in_count(
    settings: WitnessSettings, ledger: Ledger, keys: dict[str, Path], transport: list[str], tmp_path: Path
) -> None:
    for seq in (1, 2, 3):
        deliver(settings, ledger, seq, transport)
    ledger.add("entry", "phone-1", ledger.receipts(keys["witness"], 3))
    book = Book(ledger.root, SITE)
    assert [got.seq for got in witness.bring_up_to_date(settings, tmp_path, book, transport=transport)] == [4]


def test_a_wrong_sequence_and_a_fork_are_told_apart(
    settings: WitnessSettings, ledger: Ledger, transport: list[str], tmp_path: Path
) -> None:
    with pytest.raises(WitnessError, match="expects entry 1, not 2") as wrong:
        deliver(settings, ledger, 2, transport)
    assert not isinstance(wrong.value, WitnessForkError | WitnessUnreachableError)
    fork = ledger.copy(tmp_path / "fork")
    fork.add("entry", "other")
    for seq in (1, 2, 3):
        deliver(settings, ledger, seq, transport)
    ledger.add("entry", "phone-1")
    deliver(settings, ledger, 4, transport)
    with pytest.raises(WitnessForkError, match="fork: the hospital holds another entry 4") as forked:
        deliver(settings, fork, 4, transport)
    assert isinstance(forked.value, RefusedError)
    assert forked.value.exit_code == 3


def test_a_ledger_cut_short_meets_its_own_past(
    settings: WitnessSettings, ledger: Ledger, transport: list[str], tmp_path: Path
) -> None:
    """A disk restored to last week: the next entry takes a number that the hospital holds already."""
    book = Book(ledger.root, SITE)
    witness.bring_up_to_date(settings, tmp_path, book, transport=transport)
    shutil.rmtree(ledger.entries.pop())
    (ledger.root / "receipts" / "000003.receipt").unlink()
    ledger.add("entry", "phone-1")
    with pytest.raises(WitnessForkError):
        witness.bring_up_to_date(settings, tmp_path, book, transport=transport)


def test_a_signer_whom_the_hospital_does_not_know_is_told_so(
    settings: WitnessSettings, ledger: Ledger, transport: list[str], tmp_path: Path
) -> None:
    (tmp_path / "conf" / "allowed_signers").write_text(f'x@y namespaces="{RECORD}" {public(ledger.key)}\n')
    with pytest.raises(WitnessError, match=f"does not accept this signature of {ENGINEER} now"):
        deliver(settings, ledger, 1, transport)


def test_a_receipt_of_another_key_is_not_believed(
    settings: WitnessSettings, ledger: Ledger, transport: list[str], tmp_path: Path
) -> None:
    stranger = make_key(tmp_path, "stranger")
    other = settings.model_copy(update={"public_key": public(stranger)})
    with pytest.raises(WitnessError, match="a receipt that does not hold"):
        deliver(other, ledger, 1, transport)


@pytest.mark.parametrize("changed", [{"seq": 2}, {"sha256": "0" * 64}, {"site": "other"}])
def test_a_good_receipt_for_something_else_does_not_count(
    settings: WitnessSettings,
    ledger: Ledger,
    keys: dict[str, Path],
    tmp_path: Path,
    changed: dict[str, object],
) -> None:
    right = {"seq": 1, "sha256": digest((ledger.entries[0] / "MANIFEST").read_bytes()), "site": SITE}
    text, signature = receipt(keys["witness"], time="2026-11-22T13:00:00Z", **{**right, **changed})  # type: ignore[arg-type]
    with pytest.raises(WitnessError, match="not for entry 1 of lab"):
        deliver(settings, ledger, 1, says(framed(text, signature), tmp_path))


def test_an_answer_that_was_cut_is_no_answer(
    settings: WitnessSettings, ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    sha256 = digest((ledger.entries[0] / "MANIFEST").read_bytes())
    whole = framed(*receipt(keys["witness"], 1, sha256, "2026-11-22T13:00:00Z"))
    assert deliver(settings, ledger, 1, says(whole, tmp_path)).seq == 1
    for length in range(0, len(whole), 23):
        with pytest.raises(WitnessUnreachableError):
            deliver(settings, ledger, 1, says(whole[:length], tmp_path))
    with pytest.raises(WitnessUnreachableError):
        deliver(settings, ledger, 1, says(whole, tmp_path, code=255))


@pytest.mark.parametrize(
    "text",
    [
        b"receipt x y\n",
        b"receipt -1 1\n",
        b"receipt 0 0\n",
        b"receipt 1\nx",
        b"heads 0\n",
        b"\0\xff\n",
        b"hello\n",
    ],
)
def test_any_other_answer_is_one_clear_line(
    settings: WitnessSettings, ledger: Ledger, tmp_path: Path, text: bytes
) -> None:
    with pytest.raises(WitnessError) as error:
        deliver(settings, ledger, 1, says(text, tmp_path))
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("text", [b"heads 5\n1 2\n3", b"heads 6\na b c\n", b"receipt 0 0\n"])
def test_a_list_that_cannot_be_read_is_an_error(
    settings: WitnessSettings, tmp_path: Path, text: bytes
) -> None:
    with pytest.raises(WitnessError):
        witness.heads(settings, transport=says(text, tmp_path))


def test_an_error_cannot_write_on_the_engineers_terminal(
    settings: WitnessSettings, ledger: Ledger, tmp_path: Path
) -> None:
    with pytest.raises(WitnessError) as error:
        deliver(settings, ledger, 1, says(b"error 1 \x1b[2Jgone\n", tmp_path, code=1))
    assert "\x1b" not in str(error.value)


def test_nobody_there_says_where_and_why(settings: WitnessSettings, ledger: Ledger, tmp_path: Path) -> None:
    silent = [
        "sh",
        "-c",
        "cat >/dev/null; echo 'ssh: connect to host h port 22: Connection refused' >&2; exit 255",
    ]
    with pytest.raises(
        WitnessUnreachableError, match=r"cannot be reached \(ssh: connect .* Connection refused\)"
    ):
        deliver(settings, ledger, 1, silent)
    with pytest.raises(WitnessUnreachableError, match="No such file"):
        deliver(settings, ledger, 1, [str(tmp_path / "no-ssh")])


def test_a_black_hole_does_not_hang(
    settings: WitnessSettings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "SECONDS", 0.2)
    with pytest.raises(WitnessUnreachableError, match="no answer within"):
        deliver(settings, ledger, 1, ["sleep", "20"])


def test_ssh_never_asks_and_checks_the_host(settings: WitnessSettings, tmp_path: Path) -> None:
    given = settings.model_copy(
        update={"identity": "keys/id 100%", "known_hosts": "known_hosts", "port": 2222}
    )
    command = witness.ssh_command(given, tmp_path)
    printed = subprocess.run(
        [command[0], "-G", *command[1:]], capture_output=True, text=True, check=True
    ).stdout
    lines = printed.splitlines()
    for wanted in (
        "batchmode yes",
        "stricthostkeychecking true",
        "identitiesonly yes",
        "port 2222",
        "user maintenance-witness",
        "serveraliveinterval 5",
        "connecttimeout 15",
        f"identityfile {tmp_path}/keys/id 100%%",
    ):
        assert wanted in lines, wanted
    assert any(
        line.startswith("userknownhostsfile ") and str(tmp_path / "known_hosts") in line for line in lines
    )


@pytest.mark.parametrize("host", ["-oProxyCommand=id", "a b", "", "$(id)", "a%h"])
def test_a_host_that_is_an_option_is_refused(settings: WitnessSettings, host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        WitnessSettings.model_validate({**settings.model_dump(), "host": host})
