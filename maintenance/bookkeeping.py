"""What every writer of a ledger does: begin it, check it, append one entry, and tell the hospital's witness.

A run (run.py) does it around its hosts; what else is recorded (a phone call, a case, a checkpoint) does it in one go.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from maintenance import inventory, keys, ledger, manifest, runbook, verification
from maintenance.errors import CallError, RefusedError
from maintenance.ledger import Book, Entry
from maintenance.record import Operator, to_bytes, vocabulary
from maintenance.redaction import Redactor
from maintenance.signing import Signer, Signers
from maintenance.site import Site
from maintenance.witness import WitnessError, bring_up_to_date

_CHECKED_BEFORE_WRITING = 20  # newest entries; the whole ledger is what `verify` is for


@contextlib.contextmanager
def signers_of(site: Site) -> Iterator[Signers]:
    """Whose signatures the site accepts now, with its revocation list."""
    with tempfile.NamedTemporaryFile(prefix="allowed_signers-") as file:
        file.write(site.allowed_signers())
        file.flush()
        yield Signers(Path(file.name), site.revoked)


def check_signer(site: Site, signer: Signer) -> None:
    """Refuse a key that the site does not list, that has ended, is revoked or cannot sign, before anything is done with
    it; raises RefusedError."""
    with signers_of(site) as signers:
        why = keys.why_refused(signers, signer, manifest.NAMESPACE, ledger.now())
    if "does not allow the key" in why:
        raise RefusedError(
            f"the site {site.name} {why.removeprefix('it ')}; nothing was "
            f"run. The hospital adds it to {site.folder / site.settings.allowed_signers}: "
            f'{signer.principal} namespaces="{manifest.NAMESPACE}" {signer.public_key}'
        )
    if why:
        raise RefusedError(
            f"the site {site.name}: {why}; nothing was run. Another key: docs/keys.md, and ./runner.py keys "
            f"--site {site.name}"
        )
    signer.make_ready()


def note_on_key(site: Site, signer: Signer) -> list[str]:
    """What the engineer should know of a key that will soon end."""
    with signers_of(site) as signers:
        until = keys.ends_soon(signers, signer, manifest.NAMESPACE, ledger.now(), keys.ENDS_SOON_DAYS)
    if not until:
        return []
    return [f"the key {signer.fingerprint} ends at {until}; ask the hospital for a line of your next key"]


def operator(site: Site) -> Operator:
    """Who signs for the site on this machine."""
    signer, self_issued = site.signer()
    return Operator(
        principal=signer.principal,
        key_fingerprint=signer.fingerprint,
        self_issued=self_issued,
        machine=socket.gethostname(),
    )


def redactor_of(site: Site) -> Redactor:
    """Masks every secret of the site's inventory; raises CallError where that cannot be read."""
    return Redactor(inventory.read(site.folder, "all", "", site.vault_password_file).secrets)


def add_entry(
    site: Site,
    kind: str,
    name: str,
    files: Mapping[str, bytes | Path] | Callable[[Book], Mapping[str, bytes | Path]],
    *,
    ledger_path: Path | None = None,
    offline: str = "",
    redactor: Redactor | None = None,
) -> tuple[Entry, list[str]]:
    """Append one signed entry outside a run; returns it and what the user should know.

    files: paths in the entry -> content, or a function of the locked book that gives them (where they depend on what is
    in the ledger at that moment). Raises CallError or RefusedError, and then nothing was written.
    """
    path = (ledger_path or site.ledger).resolve()
    ledger.check_usable(path)
    signer, _ = site.signer()
    check_signer(site, signer)
    redactor = redactor or redactor_of(site)
    notes: list[str] = []
    with ledger.locked(path, site.name) as book:
        begin_ledger(book, site, signer)
        check_chain(book)
        for entry in ledger.close_dead_runs(book, signer):
            notes.append(f"an earlier run had died; closed as {entry.path}")
        content = files(book) if callable(files) else files
        for where, data in content.items():
            redactor.check(data if isinstance(data, bytes) else data.read_bytes(), where, vocabulary)
        made = book.append(kind, name, content, signer=signer)
        notes += tell_witness(site, book, offline)
    return made, notes


def tell_witness(site: Site, book: Book, offline: str = "") -> list[str]:
    """Deliver what the hospital's witness has not seen yet; returns why it has not, if so."""
    if site.settings.witness is None:
        return []
    if offline:
        return ["offline: the hospital's witness has not seen this entry yet"]
    try:
        bring_up_to_date(site.settings.witness, site.folder, book)
    except (WitnessError, OSError) as error:
        return [f"the witness has no receipt for this entry yet; the next run brings it: {error}"]
    return []


def begin_ledger(book: Book, site: Site, signer: Signer) -> None:
    """The genesis of a new ledger; refuses a ledger of another site."""
    listed = book.entries()
    if not listed:
        facts = {"schema": "maintenance-site/1", "site": site.name, "facts": site.settings.facts.model_dump()}
        verifier = runbook.REPOSITORY / "roles" / "witness" / "files" / "verify.sh"
        files: dict[str, bytes | Path] = {
            "site.json": to_bytes(facts),
            "allowed_signers": site.allowed_signers(),
            "verify.sh": verifier,
        }
        book.append("genesis", site.name, files, signer=signer)
    elif listed[0].name != site.name:
        raise CallError(
            f"{book.path} is the ledger of the site {listed[0].name}, not of {site.name}; nothing was done"
        )
    else:
        _follow_signers(book, site, signer)


def _follow_signers(book: Book, site: Site, signer: Signer) -> None:
    """Where the hospital changed its allowed_signers, the ledger says so before it is used under the new list.

    The change is vouched for by a key that the ledger knows already: the signer's, or the hospital's own signature
    beside the list. Raises RefusedError where there is neither, for the entry would not hold.
    """
    wanted = site.allowed_signers()
    current = ledger.signers_files(book.path)[-1]
    if wanted == current.read_bytes():
        return
    facts = {"schema": "maintenance-entry/1", "what": "allowed_signers changed", "time": ledger.now()}
    files: dict[str, bytes | Path] = {"entry.json": to_bytes(facts), "allowed_signers": wanted}
    before = Signers(current)
    name = site.settings.allowed_signers
    signature = site.folder / f"{name}.sig"
    if signature.is_file() and verification.vouched_for(before, wanted, signature.read_bytes(), ledger.now()):
        files["allowed_signers.sig"] = signature
    elif why := keys.why_refused(before, signer, manifest.NAMESPACE, ledger.now()):
        raise RefusedError(
            f"the hospital changed {site.folder / name}, and by the list that the ledger {book.path} holds "
            f"so far, {why}; nothing was done. Let an engineer whose key it knows append next, or the "
            "hospital sign the list: "
            f"ssh-keygen -Y sign -n {verification.SIGNERS_NAMESPACE} -f KEY {site.folder / name}"
        )
    book.append("entry", "allowed-signers", files, signer=signer)


def check_chain(book: Book) -> None:
    """Refuse to write behind entries that do not verify; raises RefusedError."""
    report = verification.verify(book.path, last=_CHECKED_BEFORE_WRITING)
    if report.faults:
        raise RefusedError(
            f"the ledger {book.path} does not verify, nothing was done: {report.faults[0]} "
            f"(all of it: ./runner.py verify {book.path})"
        )
