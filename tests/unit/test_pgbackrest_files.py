"""A repository is believed file by file: every fault of a file has its own words, and no fault passes."""

from __future__ import annotations

import bz2
import hashlib
import json
import random
import struct
import zlib
from pathlib import Path

import pytest
from ansible.module_utils import pgbackrest_files as files

SYSTEM = 7711293890311159514


def sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()  # noqa: S324  (what pgBackRest writes)


def segment(*, number: int = 4, timeline: int = 1, system: int = SYSTEM, size: int = 1 << 20) -> bytes:
    """A segment of WAL: its first page's header, then anything."""
    head = struct.pack("<HHIQIIQII", 0xD110, 2, timeline, number * size, 0, 0, system, size, 8192)
    return head + random.Random(1).randbytes(size - len(head))  # noqa: S311  (a pattern)


def named(contents: bytes, compress: str = "") -> files.Archived:
    found = files.archived(f"000000010000000000000004-{sha1(contents)}{compress}")
    assert found
    return found


def zst(data: bytes) -> bytes:
    """By the library that reads it, if this machine has it."""
    import ctypes

    library = files._library("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    bound = library.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    space = ctypes.create_string_buffer(bound)
    size = library.ZSTD_compress(space, ctypes.c_size_t(bound), data, ctypes.c_size_t(len(data)), 3)
    return space.raw[:size]


@pytest.mark.parametrize(
    ("extension", "pack"), [("", bytes), (".gz", zlib.compress), (".bz2", bz2.compress), (".zst", zst)]
)
def test_a_whole_segment_is_sound_and_a_flipped_byte_is_not(extension: str, pack: object) -> None:
    contents = segment()
    stored = pack(contents)  # type: ignore[operator]
    fault, header = files.segment_fault(stored, named(contents, extension))
    assert fault == ""
    assert header == (1, 4 << 20, str(SYSTEM), 1 << 20)
    flipped = bytearray(stored)
    flipped[len(flipped) // 2] ^= 1
    assert files.segment_fault(bytes(flipped), named(contents, extension))[0] != ""
    assert files.segment_fault(stored[: len(stored) // 2], named(contents, extension))[0] != ""
    assert files.segment_fault(b"", named(contents, extension))[0] != ""


def test_a_segment_that_is_no_wal_or_too_short_is_told() -> None:
    assert files.segment_fault(b"x" * 100, named(b"x" * 100))[0] == "it does not begin as WAL does"
    short = segment()[:500000]
    assert files.segment_fault(short, named(short))[0] == "500000 bytes instead of 1048576"


def test_a_library_that_is_missing_makes_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = zst(segment())

    def missing(_name: str) -> None:
        raise OSError

    monkeypatch.setattr(files.ctypes, "CDLL", missing)
    assert "not installed" in files.segment_fault(stored, named(segment(), ".zst"))[0]


@pytest.mark.parametrize(
    "name", ["00000002.history", "000000010000000000000004.00000028.backup", "archive.info"]
)
def test_other_files_of_an_archive_are_no_segments(name: str) -> None:
    assert files.archived(name) is None


MANIFEST = """[backrest]
backrest-format=5
backrest-version="2.45"

[backup]
backup-archive-start="000000010000000000000004"
backup-archive-stop="000000010000000000000005"
backup-label="20261123-172825F"
backup-timestamp-start=1795426105
backup-timestamp-stop=1795426108
backup-type="full"

[backup:db]
db-system-id=7711293890311159514

[backup:option]
option-compress-type="zst"

[backup:target]
pg_data={"path":"/var/lib/postgresql/15/main","type":"path"}
pg_tblspc/16400={"path":"/srv/ward","tablespace-id":"16400","tablespace-name":"ward","type":"link"}

[cipher]
cipher-pass="not for anybody"

[db]
dialysis={"db-id":16387,"db-last-system-id":4}

[target:file]
pg_data/PG_VERSION={"checksum":"aa","rck":"bb","repo-size":32,"size":3,"timestamp":1795425519}
pg_data/a=b={"checksum":"cc","rck":"dd","repo-size":9,"size":8192,"checksum-page":false,"checksum-page-error":[3],"timestamp":1}
pg_data/old={"checksum":"ee","reference":"20261122-020000F","size":1,"bni":2,"bno":7,"repo-size":4,"timestamp":1}

[target:file:default]
mode="0600"

[backrest]
backrest-checksum="5c35c77332f1bda2747a3ea14a4f9117eb6b0ca0"
"""


def test_a_manifest_is_read_with_its_references_bundles_and_bad_pages() -> None:
    found = files.manifest(MANIFEST, "it")
    assert (found.label, found.system_id, found.compress, found.databases) == (
        "20261123-172825F",
        str(SYSTEM),
        "zst",
        {"dialysis": 16387},
    )
    assert found.tablespaces == (("pg_tblspc/16400", "/srv/ward"),)
    plain, bad, old = found.files
    assert files.place(plain, "/r", found.compress) == "/r/20261123-172825F/pg_data/PG_VERSION.zst"
    assert (bad.name, bad.page_errors, plain.page_errors) == ("pg_data/a=b", True, False)
    assert files.place(old, "/r", found.compress) == "/r/20261122-020000F/bundle/2"
    assert "not for anybody" not in repr(found)


@pytest.mark.parametrize(
    "text",
    ["", MANIFEST[:-60], MANIFEST.replace('"size":3', '"size":"x"'), MANIFEST.replace("backup-label", "b")],
)
def test_a_manifest_that_is_cut_off_or_nonsense_is_refused(text: str) -> None:
    with pytest.raises(files.RepositoryError):
        files.manifest(text, "it")


def stored(folder: Path, data: bytes, **told: object) -> files.File:
    """A file of a backup and its line of the manifest."""
    (folder / "b" / "pg_data").mkdir(parents=True, exist_ok=True)
    (folder / "b" / "pg_data" / "1.gz").write_bytes(data)
    line = {"size": 4, "repo-size": len(data), "rck": sha1(data), **told}
    return files.file_of("pg_data/1", line, "b")


def test_each_fault_of_a_backups_file_has_its_words(tmp_path: Path) -> None:
    file = stored(tmp_path, b"compressed")
    path = tmp_path / "b" / "pg_data" / "1.gz"
    assert files.fault_of(file, str(tmp_path), "gz") == ""
    path.write_bytes(b"compresseD")
    assert files.fault_of(file, str(tmp_path), "gz") == "its checksum is wrong"
    path.write_bytes(b"compress")
    assert files.fault_of(file, str(tmp_path), "gz") == "8 bytes instead of 10"
    path.unlink()
    assert files.fault_of(file, str(tmp_path), "gz") == "missing"


def test_a_file_without_a_checksum_of_its_own_is_known_by_its_contents(tmp_path: Path) -> None:
    data = zlib.compress(b"rows")
    file = stored(tmp_path, data, rck="", checksum=sha1(b"rows"))
    assert files.fault_of(file, str(tmp_path), "gz") == ""
    (tmp_path / "b" / "pg_data" / "1.gz").write_bytes(zlib.compress(b"rowz"))
    assert files.fault_of(file, str(tmp_path), "gz") == "its checksum is wrong"


def test_a_file_in_a_bundle_is_read_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "b" / "bundle").mkdir(parents=True)
    (tmp_path / "b" / "bundle" / "2").write_bytes(b"othersMINEothers")
    line = {"size": 4, "bni": 2, "bno": 6, "repo-size": 4, "rck": sha1(b"MINE")}
    assert files.fault_of(files.file_of("pg_data/1", line, "b"), str(tmp_path), "zst") == ""
    moved = files.file_of("pg_data/1", {**line, "bno": 5}, "b")
    assert files.fault_of(moved, str(tmp_path), "zst") == "its checksum is wrong"


def test_a_configuration_is_read_by_sections() -> None:
    text = "[global]\nrepo1-path=/r\nrepo1-cipher-pass=a=b;c\n# x\n[dialysis]\npg1-path=/p\n"
    assert files.configuration(text)["global"]["repo1-cipher-pass"] == "a=b;c"
    with pytest.raises(files.RepositoryError):
        files.configuration("repo1-path=/r\n")


def test_sections_are_json_by_key() -> None:
    assert json.loads(files.sections('[a]\nb={"c":1}\n')["a"]["b"]) == {"c": 1}
