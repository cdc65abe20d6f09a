#!/usr/bin/env python3
"""Pack a release as a signed bundle: build_release.py 2.0.0 OUT_DIR --key KEY

Three files come out: dialysis-VERSION.tar.gz, the same bytes for the same sources; its manifest
dialysis-VERSION.sha256 with the sums of the archive and of every file in it; and the manifest's SSHSIG
dialysis-VERSION.sha256.sig. To check them, in this order: the signature, the archive, the installed files:

    ssh-keygen -Y verify -f SIGNERS -I release -n dialysis-release -s dialysis-2.0.0.sha256.sig < dialysis-2.0.0.sha256
    sha256sum --check --ignore-missing dialysis-2.0.0.sha256
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

RELEASES = Path(__file__).resolve().parent / "releases"
NAMESPACE = "dialysis-release"


class ReleaseError(Exception):
    """Why no bundle was made, in one line."""


def sources(folder: Path) -> list[Path]:
    """The files of a release, sorted; what Python or an editor left behind is none of it."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(path for path in files if not path.name.startswith(".") and path.suffix != ".pyc")


def released_at(folder: Path, version: str) -> int:
    """The release's date in seconds: every file in the archive carries it."""
    try:
        description = json.loads((folder / "RELEASE.json").read_text(encoding="utf-8"))
        if description["version"] != version:
            raise ReleaseError(f"{folder}/RELEASE.json is of version {description['version']}")
        return int(datetime.fromisoformat(description["date"]).replace(tzinfo=UTC).timestamp())
    except (OSError, KeyError, ValueError) as error:
        raise ReleaseError(f"{folder}/RELEASE.json: {error}") from None


def archive(folder: Path, version: str) -> bytes:
    """The tar.gz; owner, modes, order and times do not depend on the checkout."""
    moment = released_at(folder, version)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sources(folder):
            content = path.read_bytes()
            member = tarfile.TarInfo(f"{version}/{path.relative_to(folder).as_posix()}")
            member.size, member.mtime, member.mode = len(content), moment, 0o644
            member.uname = member.gname = "root"
            tar.addfile(member, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write(plain.getvalue())
    return packed.getvalue()


def manifest(folder: Path, version: str, bundle: bytes) -> str:
    """Sums as sha256sum writes and checks them; the paths are those after unpacking."""
    entries = {f"dialysis-{version}.tar.gz": bundle}
    entries |= {
        f"{version}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in sources(folder)
    }
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in entries.items())


def sign(text: str, key: Path) -> str:
    """The SSHSIG of the text; the key may be a private key file, or a public one whose key an agent holds."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"ssh-keygen could not sign: {done.stderr.strip()}")
    return done.stdout


def build(version: str, out: Path, key: Path) -> list[Path]:
    """Write the three files; the signature last, so that an unfinished bundle is an unsigned one."""
    folder = RELEASES / version
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in RELEASES.iterdir()))
        raise ReleaseError(f"there is no release {version}; there are {known}")
    bundle = archive(folder, version)
    listing = manifest(folder, version, bundle)
    signature = sign(listing, key)
    name = f"dialysis-{version}"
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"{name}.tar.gz", out / f"{name}.sha256", out / f"{name}.sha256.sig"]
    for path, content in zip(files, (bundle, listing.encode(), signature.encode()), strict=True):
        path.write_bytes(content)
    return files


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pack a release as a signed bundle.")
    parser.add_argument("version")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--key", type=Path, required=True, help="the vendor's release key")
    options = parser.parse_args(argv)
    try:
        for path in build(options.version, options.out, options.key):
            print(path)
    except (ReleaseError, OSError) as error:
        print(f"build_release: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
