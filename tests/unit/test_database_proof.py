"""Pages and indexes of a restored cluster: damage is found and named, and what was not looked at is never sound."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import database_proof as proofs
from ansible.module_utils import page_checksums as pages
from ansible.module_utils.database_query import DatabaseError

from maintenance.record import Finding, Metric

SERVER = {"directory": "/data", "databases": ["dialysis"]}
CONTROLS = {
    "Data page checksum version": "1",
    "Database block size": "8192",
    "Blocks per segment of large relation": "131072",
}


def plain(page: bytes, block: int) -> int:
    """The same sum word by word, as it is written down in C."""
    words = struct.unpack("<2048I", page[:8] + b"\0\0" + page[10:])
    sums = list(pages._OFFSETS)
    for row in range(66):
        for lane in range(32):
            mixed = sums[lane] ^ (words[row * 32 + lane] if row < 64 else 0)
            sums[lane] = (mixed * 16777619 & 0xFFFFFFFF) ^ (mixed >> 17)
    result = 0
    for one in sums:
        result ^= one
    return (result ^ block) % 65535 + 1


def page(block: int, fill: int = 7) -> bytes:
    """A page as a server writes it."""
    body = struct.pack("<IIHHHHHHI", 0, 99, 0, 0, 28, 4000, 8192, 8196, 0) + bytes([fill]) * (8192 - 24)
    return body[:8] + pages.checksum(body, block).to_bytes(2, "little") + body[10:]


def changed(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def cluster(folder: Path) -> Path:
    """A data directory of a few relations."""
    for below in ("base/5", "global", "pg_tblspc"):
        (folder / below).mkdir(parents=True)
    (folder / "base/5/1259").write_bytes(page(0) + page(1) + bytes(8192))
    (folder / "base/5/1259_fsm").write_bytes(page(0, 3))
    (folder / "base/5/2000.1").write_bytes(page(131072))
    (folder / "global/1262").write_bytes(page(0))
    for left_out in ("base/5/t3_77", "base/5/pg_internal.init", "global/pg_control"):
        (folder / left_out).write_bytes(b"anything")
    other = folder.parent / "elsewhere" / "PG_15_1" / "5"
    other.mkdir(parents=True)
    (other / "3000").write_bytes(page(0))
    (folder / "pg_tblspc/16400").symlink_to(folder.parent / "elsewhere")
    return folder


def test_the_checksum_is_that_of_postgresql() -> None:
    content = bytes(range(256)) * 32
    assert pages.checksum(content, 7) == plain(content, 7) == 59149
    assert pages.checksum(content, 131072) == plain(content, 131072)


@pytest.mark.parametrize("at", [0, 8, 15, 24, 100, 4095, 8191])
def test_one_bit_anywhere_is_seen(at: int) -> None:
    assert pages.sound(page(3), 3)
    assert not pages.sound(page(3), 4)
    assert not pages.sound(changed(page(3), at), 3)


def test_a_page_that_was_never_used_is_all_zeros_or_damaged() -> None:
    assert pages.sound(bytes(8192), 9)
    assert not pages.sound(changed(bytes(8192), 5000), 9)


def test_every_relation_is_read_and_nothing_else(tmp_path: Path) -> None:
    found = pages.check(str(cluster(tmp_path / "data")), running=False, jobs=2, seconds=60)
    assert found["pages"] == 7
    assert found["damaged_count"] == 0


def test_damage_is_named_by_file_and_block_of_the_relation(tmp_path: Path) -> None:
    data = cluster(tmp_path / "data")
    (data / "base/5/2000.1").write_bytes(changed(page(131072), 300))
    (data / "pg_tblspc/16400/PG_15_1/5/3000").write_bytes(changed(page(0), 300))
    (data / "base/5/1259").write_bytes(page(0) + page(1)[:4000])
    found = pages.check(str(data), running=False, jobs=3, seconds=60)
    assert found["damaged_count"] == 3
    assert found["damaged"] == [
        {"file": "base/5/1259", "block": 1},
        {"file": "base/5/2000.1", "block": 131072},
        {"file": "pg_tblspc/16400/PG_15_1/5/3000", "block": 0},
    ]


def test_a_page_that_was_only_being_written_is_sound_when_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "2000"
    file.write_bytes(page(0)[:4096] + page(0, 8)[4096:])
    whole = pages.Slice("2000", 0, 1)
    monkeypatch.setattr(pages.time, "sleep", lambda _seconds: None)
    assert pages.look(str(tmp_path), whole, running=True) == (1, [("2000", 0)])
    monkeypatch.setattr(pages.time, "sleep", lambda _seconds: file.write_bytes(page(0, 8)))
    assert pages.look(str(tmp_path), whole, running=True) == (1, [])
    file.write_bytes(page(0)[:4096])
    monkeypatch.setattr(pages.time, "sleep", lambda _seconds: os.truncate(file, 0))
    assert pages.look(str(tmp_path), whole, running=True) == (1, [])


def test_no_time_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cluster(tmp_path / "data")
    monkeypatch.setattr(proofs, "controls", lambda _directory: CONTROLS)
    monkeypatch.setattr(pages, "look", lambda *_: pytest.fail("it was waited for"))
    monkeypatch.setattr(pages.select, "select", lambda *_: ([], [], []))
    told = proofs.prove_pages(proofs.Options(str(data)), None)
    assert told["state"] == "unknown"
    assert "the time is over" in told["reason"]


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        ({**CONTROLS, "Data page checksum version": "0"}, "data_checksums is off"),
        ({**CONTROLS, "Database block size": "16384"}, "another size"),
        (CONTROLS, "holds no page"),
    ],
)
def test_a_cluster_without_checksums_or_pages_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, control: dict[str, str], reason: str
) -> None:
    monkeypatch.setattr(proofs, "controls", lambda _directory: control)
    told = proofs.prove_pages(proofs.Options(str(tmp_path)), None)
    assert told["state"] == "unknown"
    assert reason in told["reason"]


def test_another_servers_answer_is_no_proof_of_this_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "one_object", lambda *_: SERVER)
    assert proofs.server_of(proofs.Options("/data")) == (SERVER, "")
    server, reason = proofs.server_of(proofs.Options("/elsewhere", 5499))
    assert server is None
    assert reason == "the server on port 5499 is that of /data"
    assert proofs.prove_structure(proofs.Options("/elsewhere"), None, reason, 60)["state"] == "unknown"


ANSWER = """heap table "dialysis.public.patients", block 3, offset 4, attribute 2:
    attribute 2 with length 4294967295 ends at offset 416848000 beyond total tuple length 58
btree index "dialysis.public.patients_pkey":
    ERROR:  XX002: item order invariant violated for index "patients_pkey"
btree index "dialysis.public.by_number":
    ERROR:  22P02: invalid input syntax for type integer: "张三"
"""


def test_damage_is_told_without_what_stands_in_a_row() -> None:
    table, key, expression = proofs.read_damage(ANSWER)
    assert table["relation"] == "dialysis.public.patients"
    assert table["block"] == 3
    assert "beyond total tuple length" in table["why"]
    assert key["block"] is None
    assert "item order invariant" in key["why"]
    assert expression["why"] == "ERROR: 22P02"


class Amcheck:
    """A database and the pg_amcheck that looks at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str, **extension: bool):
        self.statements: list[str] = []
        self.extension = {"there": False, "ours": False, "read_only": False, **extension}
        done = SimpleNamespace(returncode=code, stdout=out, stderr=err)
        monkeypatch.setattr(proofs, "one_object", lambda *_: self.extension)
        monkeypatch.setattr(proofs, "program", lambda _directory, name: name)
        monkeypatch.setattr(proofs.subprocess, "run", lambda *_args, **_more: done)
        monkeypatch.setattr(proofs, "psql", lambda _port, statements, *_: self.statements.extend(statements))

    def prove(self) -> dict[str, Any]:
        return proofs.prove_structure(proofs.Options("/data"), SERVER, "", 60)


CHECKED = 'pg_amcheck: checking heap table "dialysis.public.patients"\npg_amcheck: checking btree index "x"\n'


def test_the_extension_is_made_and_goes_again_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Amcheck(monkeypatch, 0, "", CHECKED)
    assert sound.prove()["state"] == "ok"
    assert sound.prove()["relations"] == 2
    assert "create extension" in sound.statements[1]
    assert sound.statements[3] == "drop extension amcheck"
    lost = Amcheck(monkeypatch, 1, "", "pg_amcheck: error: connection lost")
    assert lost.prove()["state"] == "unknown"
    assert lost.statements[-1] == "drop extension amcheck"
    dead = Amcheck(monkeypatch, 0, "", CHECKED, there=True, ours=True)
    assert dead.prove()["state"] == "ok"
    assert dead.statements[-1] == "drop extension amcheck"
    theirs = Amcheck(monkeypatch, 0, "", CHECKED, there=True)
    assert theirs.prove()["state"] == "ok"
    assert theirs.statements == []


@pytest.mark.parametrize(
    ("code", "out", "err", "state"),
    [
        (0, "", "", "unknown"),  # it has checked nothing
        (2, "", CHECKED, "unknown"),  # damage in words that are not understood
        (2, ANSWER, CHECKED, "damaged"),
        (0, ANSWER, CHECKED, "damaged"),  # a status that does not fit is not believed
        (1, "", CHECKED + "pg_amcheck: error: gone", "unknown"),
    ],
)
def test_an_exit_code_alone_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str, state: str
) -> None:
    assert Amcheck(monkeypatch, code, out, err).prove()["state"] == state


def test_a_server_in_recovery_without_the_extension_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Amcheck(monkeypatch, 0, "", CHECKED, read_only=True).prove()
    assert told["state"] == "unknown"
    assert "in recovery" in told["reason"]


def test_a_catalogue_that_cannot_be_asked_leaves_the_name_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_: Any) -> Any:
        raise DatabaseError("gone")

    damaged = [{"file": "base/5/1259.1", "block": 131072}, {"file": "base/5/1259_fsm", "block": 0}]
    monkeypatch.setattr(proofs, "one_object", gone)
    proofs.name_them(proofs.Options("/data"), SERVER, damaged)
    assert "relation" not in damaged[0]
    monkeypatch.setattr(proofs, "one_object", lambda *_: {"base/5/1259": "public.patients"})
    proofs.name_them(proofs.Options("/data"), SERVER, damaged)
    assert [one["relation"] for one in damaged] == ["dialysis public.patients"] * 2


SOUND = {"state": "ok", "reason": "", "damaged": [], "damaged_count": 0, "seconds": 1.5}
DAMAGED = {
    **SOUND,
    "state": "damaged",
    "damaged_count": 1,
    "damaged": [{"file": "base/5/1259", "block": 3, "relation": "dialysis public.patients"}],
}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("part", "verdict"),
    [
        ({**SOUND, "pages": 9}, "pass"),
        ({**DAMAGED, "pages": 9}, "fail"),
        ({"state": "unknown", "reason": "off"}, "unknown"),
    ],
)
def test_the_findings_say_what_was_proven(language: str, part: dict[str, Any], verdict: str) -> None:
    told = {"pages": part, "structure": {**SOUND, "relations": 312}}
    first, second = (Finding.model_validate(one) for one in proofs.findings(told, language))
    assert (first.verdict, second.verdict) == (verdict, "pass")
    assert "312" in second.actual
    assert ("public.patients block 3" in first.actual) == (verdict == "fail")
    for one in proofs.metrics(told, "db1"):
        Metric.model_validate(one)
