"""From a work order to a run: the plan is asked of the hosts, the hospital approves, and only that is carried out.

Everything that talks to hosts goes through run.py, so the plan of an order and the plan before a change are recorded runs
in check mode themselves.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from maintenance import bookkeeping, inventory, ledger, manifest, orders, run, runbook
from maintenance.errors import CallError, RefusedError
from maintenance.orders import Inputs, Now, Order, OrderFile, Plan, Signature, Window
from maintenance.record import Record, to_bytes
from maintenance.redaction import Redactor
from maintenance.run import Call, Outcome
from maintenance.signing import Signer, Signers


def make(call: Call, window: Window, notified: str) -> tuple[OrderFile, Outcome]:
    """An order for what the call asks, signed by the engineer; and the rehearsal that it rests on.

    Raises RefusedError where the rehearsal did not succeed: nobody should approve what is not known.
    """
    _require_plain(call.extra_vars)
    orders.require_no_secret(call.extra_vars, inventory.secret_values(call.extra_vars))
    if not call.reason.strip():
        raise CallError("an order says why: --reason")
    if not notified.strip():
        raise CallError(
            "an order says who of the hospital was told, and how: --notified 'phone, 14:05, 信息科'"
        )
    if "@" in call.limit and any(
        part.strip("&! ").startswith("@") for part in re.split(r"[,:;]", call.limit)
    ):
        raise CallError("the --limit of an order names its hosts and groups; a file (@FILE) could change")
    book = runbook.load(call.runbook)
    rehearsal = run.execute(replace(call, check=True, order=None))
    if rehearsal.record.outcome != "succeeded":
        raise RefusedError(
            f"the rehearsal did not succeed, so there is no plan to order: {rehearsal.record.outcome_reason} "
            f"(its record: {rehearsal.entry})"
        )
    order = _order(call, book, window, notified, rehearsal.record)
    data = to_bytes(order)
    redactor = _redactor(call)
    redactor.check(data, orders.FILE)
    signer, _ = call.site.signer()
    signature = Signature(orders.ENGINEER_SIGNATURE, signer.sign(data, manifest.NAMESPACE))
    return OrderFile(data, order, (signature,)), rehearsal


def _order(call: Call, book: runbook.Runbook, window: Window, notified: str, rehearsal: Record) -> Order:
    redactor = _redactor(call)
    plan = Plan(
        run=rehearsal.run,
        made=rehearsal.finished,
        hosts={host.name: host.changed for host in rehearsal.hosts},
        changes=rehearsal.changes,
        sha256=orders.plan_digest(rehearsal.changes),
    )
    facts: dict[str, Any] = {
        "id": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}-{book.name}",
        "site": call.site.name,
        "site_facts": call.site.settings.facts.model_dump(),
        "made": ledger.now(),
        "engineer": bookkeeping.operator(call.site),
        "runbook": book.info(),
        "approvals": book.header.approvals,
        "source": rehearsal.source,
        "code_sha256": orders.code_digest(runbook.REPOSITORY),
        "inputs": Inputs(limit=call.limit, variables=call.extra_vars),
        "hosts": rehearsal.hosts_expected,
        "window": window,
        "reason": redactor.text(call.reason),
        "notified": redactor.text(notified),
        "case": call.case or None,
        "plan": plan,
    }
    language = call.language or call.site.settings.language
    return Order(**facts, summary=orders.summary(facts, book.info(), plan, language))


def execute(call: Call) -> Outcome:
    """Run a runbook as the site's rules on orders allow it; raises RefusedError, recorded, where they do not."""
    book = runbook.load(call.runbook)
    if call.check:
        if call.order or call.emergency:
            raise CallError("--check changes nothing and needs neither --order nor --emergency")
        return run.execute(call)
    if call.order is None:
        if book.header.changes == "nothing" or call.site.settings.orders == "optional" or call.emergency:
            return run.execute(call)
        raise _refused(
            call,
            f"{book.name} changes hosts and the site {call.site.name} requires a work order: "
            f"runner.py order {book.name} --site {call.site.name} --window FROM/TO --notified TEXT --reason TEXT "
            "-o order.json",
        )
    if call.emergency:
        raise CallError("--emergency stands in place of an order; give one of the two")
    return _execute_order(replace(call, reason=call.reason or call.order.order.reason), book, call.order)


def _execute_order(call: Call, book: runbook.Runbook, given: OrderFile) -> Outcome:
    order = given.order
    if order.site == call.site.name and order.runbook.name == book.name:
        # What was approved is what is run: options need not be repeated, and where they are they must agree.
        call = replace(
            call,
            limit=call.limit or order.inputs.limit,
            extra_vars=call.extra_vars or dict(order.inputs.variables),
            case=call.case or order.case or "",
        )
    path = (call.ledger or call.site.ledger).resolve()

    def why_not(instant: str) -> str:
        used, _ = orders.earlier_use(path, order)
        if used:
            return f"the order {order.id} was carried out already: {used}"
        with bookkeeping.signers_of(call.site) as signers:
            why = orders.no_rehearsal(path, order) or orders.why_not(
                given, _now(call, book, instant), signers
            )
        return f"the order {order.id} does not allow this run: {why}" if why else ""

    def permit(instant: str) -> str:
        running = orders.without_end(path, order)
        if running:
            return f"the order {order.id} is being carried out already: {running}"
        return why_not(instant)

    why = why_not(ledger.now())
    if why:
        raise _refused(call, why)
    if book.header.changes != "nothing":
        rehearsal = run.execute(replace(call, check=True, order=None))
        _, resumed = orders.earlier_use(path, order)  # now that the runs that died are closed
        if rehearsal.record.outcome != "succeeded":
            why = f"the rehearsal before it did not succeed: {rehearsal.record.outcome_reason}"
        else:
            why = orders.plan_differs(order, rehearsal.record.changes, resumed=resumed)
        if why:
            raise _refused(call, f"the order {order.id} does not allow this run: {why}")
    try:
        return run.execute(replace(call, permit=permit))
    except run.NotPermittedError as error:
        raise _refused(call, str(error)) from None


def _now(call: Call, book: runbook.Runbook, instant: str) -> Now:
    plan = inventory.read(call.site.folder, book.hosts, call.limit, call.site.vault_password_file)
    return Now(
        site=call.site.name,
        runbook=book,
        source=run.source(book, call.site),
        code_sha256=orders.code_digest(runbook.REPOSITORY),
        hosts=sorted(plan.hosts),
        limit=call.limit,
        variables=call.extra_vars,
        instant=instant,
    )


def _refused(call: Call, why: str) -> RefusedError:
    """The refusal, after it was signed into the ledger with the order that was shown."""
    redactor = _redactor(call)
    facts = {
        "schema": "maintenance-refused/1",
        "site": call.site.name,
        "runbook": call.runbook,
        "why": redactor.text(why),
        "order": {"id": call.order.order.id, "sha256": call.order.sha256} if call.order else None,
        "case": call.case or None,
        "reason": redactor.text(call.reason),
        "operator": bookkeeping.operator(call.site).model_dump(),
        "time": ledger.now(),
    }
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}-{call.runbook}"
    files = {"refused.json": to_bytes(facts), **(call.order.files() if call.order else {})}
    entry, _ = bookkeeping.add_entry(
        call.site, "refused", name, files, ledger_path=call.ledger, offline=call.offline, redactor=redactor
    )
    return RefusedError(f"{redactor.text(why)} (recorded: {entry.path})")


def approve(
    path: Path, key: Path, signers: Signers, when: str, show: Callable[[OrderFile], None] = lambda _: None
) -> tuple[OrderFile, str, Path]:
    """Sign an order for the hospital: the order, the principal, and the signature file that was written beside it.

    Raises CallError or RefusedError, and then nothing was written.
    """
    given = orders.read(path)
    problem = orders.check_engineer(given, signers, when)
    if problem:
        raise RefusedError(f"{path}: {problem}; it was not approved")
    if given.order.summary not in (
        orders.summary_of(given.order, "zh"),
        orders.summary_of(given.order, "en"),
    ):
        raise RefusedError(f"{path}: its summary does not say what it is; it was not approved")
    if when >= given.order.window.to:
        raise RefusedError(f"{path}: its window is over: {given.order.window.text()}; it was not approved")
    show(given)  # before the key's passphrase is asked: whoever does not want it can still leave
    hospital = Signer("", key)
    principals = signers.principals(hospital.public_key, orders.NAMESPACE)
    named = [name for name in signers.principals_named_for(orders.NAMESPACE) if name in principals]
    if not named:
        raise RefusedError(
            f"the key {hospital.fingerprint} may not approve: the hospital adds it to {signers.path.name} of the site: "
            f'NAME@HOSPITAL namespaces="{orders.NAMESPACE}" {hospital.public_key}'
        )
    suffix = orders.signature_name(named[0])
    signature = Signature(orders.FILE + suffix, hospital.sign(given.data, orders.NAMESPACE))
    target = path.with_name(path.name + suffix)
    held = orders.approvals(given, signers, when).principals
    if named[0] in held:
        raise RefusedError(f"{named[0]} has approved {path} already; a person counts once")
    approved = replace(given, signatures=(*given.signatures, signature))
    after = orders.approvals(approved, signers, when)
    if named[0] not in after.principals:
        raise RefusedError(f"{path} was not approved: {'; '.join(after.rejected)}")
    _create(target, signature.data)
    return approved, named[0], target


def write(given: OrderFile, path: Path) -> Sequence[Path]:
    """The order and the engineer's signature as files; raises CallError where a file would be overwritten."""
    written = []
    targets = {path: given.data}
    for item in given.signatures:
        targets[path.with_name(path.name + item.name.removeprefix(orders.FILE))] = item.data
    for target, data in targets.items():
        _create(target, data)
        written.append(target)
    return written


def _create(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise CallError(f"{path} is there already; move it away, or name another file") from None
    except OSError as error:
        raise CallError(f"{path} cannot be written: {error.strerror}") from None


def write_document(given: OrderFile, path: Path, language: Literal["zh", "en"]) -> tuple[list[Path], str]:
    """《变更工单》 beside the order, as Word and PDF; the files, and why there is no PDF."""
    from maintenance.documents import change, pdf  # slow to import

    document = change.render(given, [], None, path.with_suffix(".docx"), language=language)
    converted, why = pdf.convert(document, path.parent)
    return [document, *([converted] if converted else [])], why


def check_target(path: Path) -> None:
    """Before hosts are asked: can the order be written there? Raises CallError."""
    for target in (path, path.with_suffix(".docx"), path.with_suffix(".pdf")):
        if target.exists():
            raise CallError(f"{target} is there already; name another file with -o")
    if not path.parent.is_dir():
        raise CallError(f"{path.parent} is not a folder; the order cannot be written")


def _redactor(call: Call) -> Redactor:
    plan = inventory.read(call.site.folder, "all", "", call.site.vault_password_file)
    return Redactor([*plan.secrets, *inventory.secret_values(call.extra_vars)])


def _require_plain(variables: dict[str, Any]) -> None:
    try:
        same = json.loads(json.dumps(variables)) == variables
    except (TypeError, ValueError):
        same = False
    if not same:
        raise CallError("the variables of an order must be texts, numbers, lists and mappings (no dates)")
