"""Work orders (4.1.3): what is to be done, as the engineer asks for it and the hospital approves it, byte for byte.

An order is a file, `order.json`, and signatures beside it: the engineer's (namespace maintenance-record), the hospital's
approvals (namespace maintenance-order, made by `runner.py approve` or by stock `ssh-keygen -Y sign`). Whether a run may
use an order is judged here, from those bytes, the site's allowed_signers and the state of the repository.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maintenance import inventory, ledger, local_time, manifest, runbook, signing
from maintenance.errors import CallError, RefusedError
from maintenance.manifest import NAMESPACE as ENGINEER_NAMESPACE
from maintenance.record import Change, Instant, Operator, RunbookInfo, Sha256, Source
from maintenance.signing import SignatureError, Signers

NAMESPACE = "maintenance-order"
FILE = "order.json"
ENGINEER_SIGNATURE = "order.json.engineer.sig"
_SIZE_LIMIT = 4 * 1024 * 1024  # bytes of an order; larger is none
_SIGNED_WITHIN = 600  # seconds between the instant that an open states and its signature
_APPROVALS_READ = 20  # signatures beside an order that are looked at
_CODE = (  # what decides what a run does, beside the inventory and the lock
    "ansible.cfg",
    "action_plugins",
    "callback_plugins",
    "filter_plugins",
    "library",
    "maintenance",
    "module_utils",
    "playbooks",
    "roles",
    "runner.py",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Strict):
    """When the run may begin; half open: from <= begin < to."""

    from_: Instant = Field(alias="from")
    to: Instant

    def text(self) -> str:
        """For people, on the hospital's clock."""
        return f"{local_time.minute(self.from_)} – {local_time.minute(self.to)}"

    @model_validator(mode="after")
    def _is_one(self) -> Window:
        if not (manifest.is_instant(self.from_) and manifest.is_instant(self.to) and self.from_ < self.to):
            raise ValueError("the window has no beginning before its end")
        return self


class Inputs(_Strict):
    """What the runbook is given. Secrets are not: they are in the vault."""

    limit: str
    variables: dict[str, Any]


class Plan(_Strict):
    """What `--check --diff` on the hosts said would change, and the signed run that asked them."""

    run: str
    made: Instant
    hosts: dict[str, int] = Field(description="host -> steps that would change something")
    changes: list[Change]
    sha256: Sha256


class Order(_Strict):
    """order.json."""

    schema_: Literal["maintenance-order/1"] = Field(alias="schema", default="maintenance-order/1")
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")]
    site: str
    site_facts: dict[str, str]
    made: Instant
    engineer: Operator
    runbook: RunbookInfo
    approvals: int = Field(ge=0, description="how many different people of the hospital must approve")
    source: Source
    code_sha256: Sha256
    inputs: Inputs
    hosts: list[str]
    window: Window
    reason: str = Field(min_length=1)
    notified: str = Field(min_length=1, description="who of the hospital was told, how and when (4.1.3)")
    case: str | None = None
    plan: Plan
    summary: list[str] = Field(description="the order for people, line by line")


@dataclass(frozen=True)
class Signature:
    """One signature file beside an order."""

    name: str
    data: bytes


@dataclass(frozen=True)
class OrderFile:
    """An order as it lies on disk or in an `open`: exact bytes, and what is signed over them."""

    data: bytes
    order: Order
    signatures: tuple[Signature, ...]

    @property
    def sha256(self) -> str:
        """What approvals are bound to."""
        return manifest.sha256_bytes(self.data)

    def files(self) -> dict[str, bytes]:
        """As they go into an entry of the ledger."""
        return {FILE: self.data, **{item.name: item.data for item in self.signatures}}


@dataclass(frozen=True)
class Approval:
    """An approval that holds."""

    principal: str
    key: str  # `TYPE BASE64`
    file: str


@dataclass(frozen=True)
class Approvals:
    """Whose approvals hold, and why the other signatures do not count."""

    held: list[Approval]
    rejected: list[str]

    @property
    def principals(self) -> list[str]:
        """Who approved, by name."""
        return sorted(item.principal for item in self.held)


def read(path: Path) -> OrderFile:
    """An order and the signatures beside it (`NAME*.sig`); raises CallError with what to mend."""
    try:
        data = _regular(path)
        beside = sorted(path.parent.glob(f"{_glob_escape(path.name)}*.sig"))[:_APPROVALS_READ]
        signatures = [
            Signature(_in_entry(item.name.removeprefix(path.name), number), _regular(item))
            for number, item in enumerate(beside)
        ]
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CallError(f"the order {path} cannot be read: {why}") from None
    return parse(data, signatures, str(path))


def _regular(path: Path) -> bytes:
    if path.stat().st_size > _SIZE_LIMIT:
        raise ValueError(f"{path.name} is too large")
    return manifest.read_regular(path)


def signature_name(principal: str) -> str:
    """What follows the order's own name in the file of somebody's approval."""
    return f".{re.sub(r'[^A-Za-z0-9._-]', '_', principal)}.sig"


def _in_entry(suffix: str, number: int) -> str:
    """The name of a signature file within an entry, where names are plain and no two are the same."""
    name = FILE + suffix
    return name if manifest.LEGAL_PATH.fullmatch(name) else f"{FILE}.{number}.sig"


def parse(data: bytes, signatures: Iterable[Signature], where: str) -> OrderFile:
    """Raises CallError where the bytes are no order."""
    try:
        return OrderFile(data, Order.model_validate_json(data), tuple(signatures))
    except ValidationError as error:
        raise CallError(f"{where} is not an order: {runbook.first_problem(error)}") from None


def plan_digest(changes: Iterable[Change]) -> str:
    """sha256 over what would change, whatever the order in which hosts answered."""
    lines = sorted(json.dumps(change.model_dump(), sort_keys=True) for change in changes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def code_digest(repository: Path) -> str:
    """sha256 over the names and bytes of everything that decides what a run does, committed or not."""
    total = hashlib.sha256()
    for name in _CODE:
        root = repository / name
        paths = [root] if root.is_file() else sorted(_code_files(root)) if root.is_dir() else []
        for path in paths:
            total.update(f"{path.relative_to(repository)}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _code_files(root: Path) -> Iterator[Path]:
    for path in inventory.files_below(root):
        if path.suffix != ".pyc" and "__pycache__" not in path.parts:
            yield path


def approvals(given: OrderFile, signers: Signers, when: str) -> Approvals:
    """Who of the hospital approved these bytes, at an instant at which the key must have been valid.

    A key counts for one person only, and never where it may also sign records: that is the vendor's.
    """
    held: list[Approval] = []
    rejected: list[str] = []
    for item in given.signatures:
        if item.name == ENGINEER_SIGNATURE:
            continue
        principal, key = _approver(given, item, signers, when)
        if not principal:
            rejected.append(f"{item.name} is no approval by a key that allowed_signers names for {NAMESPACE}")
        elif principal == given.order.engineer.principal or signers.principals(key, ENGINEER_NAMESPACE):
            rejected.append(f"{item.name}: {principal} is of the vendor, who cannot approve its own change")
        elif any(one.principal == principal for one in held):
            rejected.append(f"{item.name}: {principal} approved already; a person counts once")
        elif other := next((one.principal for one in held if one.key == key), ""):
            rejected.append(f"{item.name}: {principal} used the key of {other}; a person counts once")
        else:
            held.append(Approval(principal, key, item.name))
    return Approvals(held, rejected)


def _approver(given: OrderFile, item: Signature, signers: Signers, when: str) -> tuple[str, str]:
    """Principal and key of an approval that holds; ('', '') where it does not."""
    for principal in signers.principals_named_for(NAMESPACE):
        try:
            key = signing.key_of(item.data)
            if "-cert-" in key.partition(" ")[0]:
                continue  # one key, many certificates: whose key it is, and that it counts once, could not be told
            signers.verify(given.data, item.data, principal, NAMESPACE, when)
        except SignatureError:
            continue
        return principal, key
    return "", ""


def check_engineer(given: OrderFile, signers: Signers, when: str) -> str:
    """Why the order is not the engineer's, or ''."""
    signature = next((item.data for item in given.signatures if item.name == ENGINEER_SIGNATURE), None)
    if signature is None:
        return f"{ENGINEER_SIGNATURE} is not beside it: the engineer has not signed it"
    try:
        signers.verify(given.data, signature, given.order.engineer.principal, ENGINEER_NAMESPACE, when)
    except SignatureError as error:
        return f"the signature of {given.order.engineer.principal} does not hold ({error})"
    return ""


@dataclass(frozen=True)
class Now:
    """What a run would be, here and now: what an order must fit."""

    site: str
    runbook: runbook.Runbook
    source: Source
    code_sha256: str
    hosts: list[str]
    limit: str
    variables: Mapping[str, Any]
    instant: str


def why_not(given: OrderFile, now: Now, signers: Signers) -> str:
    """Why a run must not use this order, in one line; '' where it is exactly what was approved."""
    return next(_reasons(given, now, signers), "")


def _reasons(given: OrderFile, now: Now, signers: Signers) -> Iterator[str]:
    order = given.order
    if order.site != now.site:
        yield f"the order is for the site {order.site}, not for {now.site}"
    if order.runbook.name != now.runbook.name:
        yield f"the order is for the runbook {order.runbook.name}, not for {now.runbook.name}"
    problem = check_engineer(given, signers, now.instant)
    if problem:
        yield problem
    yield from _window(order, now.instant)
    yield from _changed(order, now)
    needed = max(now.runbook.header.approvals, order.approvals)
    held = approvals(given, signers, now.instant)
    if len(held.principals) < needed:
        more = f" ({'; '.join(held.rejected)})" if held.rejected else ""
        yield (
            f"it needs {needed} approval{'s' if needed != 1 else ''} of the hospital and has "
            f"{len(held.principals)}{more}: runner.py approve {FILE} --key KEY"
        )
    if order.summary not in (summary_of(order, "zh"), summary_of(order, "en")):
        yield "its summary does not say what it is"
    if plan_digest(order.plan.changes) != order.plan.sha256:
        yield "its plan is not the one that its digest names"


def _window(order: Order, instant: str) -> Iterator[str]:
    if instant < order.made:
        yield f"it was made at {order.made}, after this: a clock was set"
    elif instant < order.window.from_:
        yield f"its window has not begun: {order.window.text()}"
    elif instant >= order.window.to:
        yield f"its window is over: {order.window.text()}; make a new order"


def _changed(order: Order, now: Now) -> Iterator[str]:
    """What is not as it was when the hospital approved."""
    said = order.source
    pairs = (
        ("the commit", said.commit, now.source.commit),
        ("the code", order.code_sha256, now.code_sha256),
        ("the runbook", said.playbook_sha256, now.source.playbook_sha256),
        ("the inventory", said.inventory_sha256, now.source.inventory_sha256),
        ("the lock of dependencies", said.lock_sha256, now.source.lock_sha256),
        ("ansible-core", said.ansible_core, now.source.ansible_core),
        ("--limit", order.inputs.limit, now.limit),
    )
    for name, approved, present in pairs:
        if approved != present:
            yield f"{name} is not what was approved: {_short(approved)} then, {_short(present)} now"
    if order.inputs.variables != dict(now.variables):
        names = sorted(
            name
            for name in order.inputs.variables.keys() | now.variables.keys()
            if order.inputs.variables.get(name) != now.variables.get(name)
        )
        yield f"the variables are not what was approved: {', '.join(names)}"
    if order.hosts != sorted(now.hosts):
        differing = sorted(set(order.hosts) ^ set(now.hosts))
        yield f"the hosts are not what was approved: {', '.join(differing)}"


def plan_differs(order: Order, changes: list[Change], *, resumed: bool) -> str:
    """Why the plan is no longer the approved one, or ''.

    resumed: an earlier run under this order did not end well; what is left may then be less, never more.
    """
    approved = Counter(
        _key(change) for change in order.plan.changes
    )  # the same step may change the same thing twice
    present = Counter(_key(change) for change in changes)
    new = sorted(f"{host}: {subject or task}" for host, task, subject, *_ in present - approved)
    gone = sorted(f"{host}: {subject or task}" for host, task, subject, *_ in approved - present)
    if new:
        return f"the plan differs from the approved one: it would also, or differently, change {_first(new)}"
    if gone and not resumed:
        return f"the plan differs from the approved one: it would no longer change {_first(gone)}"
    return ""


def _key(change: Change) -> tuple[str, str, str, str, str]:
    return (
        change.host,
        change.task,
        change.subject,
        change.before_sha256 or "",
        change.after_sha256 or "",
    )


def _first(items: list[str]) -> str:
    return ", ".join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")


def earlier_use(path: Path, order: Order, before: str = "~") -> tuple[str, bool]:
    """Of the entries before one: (that in which this order was carried out, or ''; whether a run of it did not end
    well)."""
    used, resumed = "", False
    listed = [entry for entry in ledger.entries(path) if entry.folder < before]
    opened = {
        entry.name for entry in listed if entry.kind == "open" and _order_id(entry.path / FILE) == order.id
    }
    for entry in listed:
        if entry.name in opened and entry.kind == "close":
            try:
                outcome = json.loads((entry.path / "record.json").read_bytes()).get("outcome")
            except (OSError, ValueError):
                outcome = None
            if outcome == "succeeded":
                used = entry.folder
            elif outcome != "refused":
                resumed = True
        elif entry.name in opened and entry.kind == "abandoned":
            resumed = True
    return used, resumed


def without_end(path: Path, order: Order) -> str:
    """The open of a run under this order that has no end yet, or ''."""
    listed = ledger.entries(path)
    ended = {entry.name for entry in listed if entry.kind in ("close", "abandoned")}
    return next(
        (
            entry.folder
            for entry in listed
            if entry.kind == "open" and entry.name not in ended and _order_id(entry.path / FILE) == order.id
        ),
        "",
    )


def no_rehearsal(path: Path, order: Order) -> str:
    """Why the rehearsal that the order names does not stand in this ledger, or ''. An order that is carried to another
    ledger, where its use is not known, lacks it too."""
    name = order.plan.run
    entry = next((item for item in ledger.entries(path) if item.kind == "close" and item.name == name), None)
    if entry is None:
        return f"its rehearsal {name} is not in the ledger {path.name}"
    try:
        facts = json.loads(manifest.read_regular(entry.path / "record.json"))
        said = (facts["site"], facts["runbook"]["name"], facts["mode"], facts["outcome"])
        changes = [Change.model_validate(change) for change in facts["changes"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"its rehearsal {entry.folder} cannot be read"
    if said != (order.site, order.runbook.name, "check", "succeeded"):
        return f"{entry.folder} is no rehearsal of it that succeeded"
    if plan_digest(changes) != order.plan.sha256:
        return f"its plan is not what the rehearsal {entry.folder} found"
    return ""


def _order_id(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes()).get("id"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


def problem_in_open(folder: Path, signers: Signers, when: str) -> str:
    """For verification: why the order that lies in an `open` does not cover it, or ''. when: the instant of the open, the
    hospital's where there is a receipt."""
    try:
        opened = json.loads(manifest.read_regular(folder / "open.json"))
        said = opened.get("order") or {}
        named = said.get("sha256", "")
    except (OSError, ValueError, AttributeError, RecursionError):
        opened, named = {}, ""
    if not (folder / FILE).is_file():
        return f"it names an order, and {FILE} is not in it" if named else ""
    try:
        signatures = [
            Signature(path.name, manifest.read_regular(path)) for path in sorted(folder.glob(f"{FILE}*.sig"))
        ]
        given = parse(manifest.read_regular(folder / FILE), signatures, FILE)
        made = manifest.parse(manifest.read_regular(folder / "MANIFEST")).time
        return next(filter(None, _not_covered(folder, given, opened, made, signers, when)), "")
    except (OSError, ValueError, TypeError, CallError) as error:
        return f"its order cannot be read: {error}"


def _not_covered(
    folder: Path, given: OrderFile, opened: dict[str, Any], made: str, signers: Signers, when: str
) -> Iterator[str]:
    order = given.order
    if (opened.get("site"), opened.get("runbook")) != (order.site, order.runbook.name):
        yield f"its order is for {order.runbook.name} on {order.site}"
    if sorted(opened.get("hosts", [])) != order.hosts:
        yield "its order is for other hosts"
    source = opened.get("source") or {}
    for name in ("commit", "playbook_sha256", "inventory_sha256", "lock_sha256", "ansible_core"):
        if source.get(name) != getattr(order.source, name):
            yield f"its order is for another {name}"
    yield check_engineer(given, signers, when)
    held = approvals(given, signers, when)
    if len(held.principals) < order.approvals:
        more = f" ({'; '.join(held.rejected)})" if held.rejected else ""
        yield f"its order has {len(held.principals)} of {order.approvals} approvals{more}"
    if given.sha256 != (opened.get("order") or {}).get("sha256"):
        yield "it names another order than the one that lies in it"
    said = str(opened.get("opened", ""))
    if not manifest.is_instant(said) or abs(_seconds(said) - _seconds(made)) > _SIGNED_WITHIN:
        yield f"it says that it was opened at {said[:40]!a}, and was signed at {made}"
    yield from _window(order, said)
    yield no_rehearsal(folder.parent, order)
    used, _ = earlier_use(folder.parent, order, before=folder.name)
    if used:
        yield f"its order was carried out already: {used}"


def _seconds(instant: str) -> float:
    return local_time.parse(instant).timestamp()


def parse_window(text: str) -> Window:
    """FROM/TO, each RFC 3339 or local `YYYY-MM-DD HH:MM`; raises CallError."""
    parts = text.split("/")
    if len(parts) != 2:
        raise CallError(
            f"--window takes FROM/TO, as in '2026-11-23 22:00/2026-11-24 02:00' (local time), not '{text[:60]}'"
        )
    start, end = (_instant(part.strip()) for part in parts)
    if end <= start:
        raise CallError(f"--window: its end {parts[1].strip()} is not after its beginning")
    if end <= ledger.now():
        raise CallError(f"--window: it is over already ({parts[1].strip()})")
    return Window.model_validate({"from": start, "to": end})


def _instant(text: str) -> str:
    try:
        return local_time.read(text)
    except ValueError:
        raise CallError(f"--window: '{text[:40]}' is not a time such as 2026-11-23 22:00") from None


def require_no_secret(variables: Mapping[str, Any], secrets: Iterable[str]) -> None:
    """An order is read by many: a secret in it would be given away. Raises RefusedError."""
    if list(secrets):
        raise RefusedError(
            f"a variable among {', '.join(sorted(variables))} is a secret by its name; an order is read by many: "
            "put it into the site's vault instead of --set or --vars"
        )


_WORDS = {
    "zh": {
        "order": "工单 {id}：{title}（{name}）",
        "site": "站点 {site}：{hospital} {system}",
        "hosts": "主机 {count} 台：{hosts}",
        "window": "实施时间窗：{window}",
        "reason": "原因：{reason}",
        "notified": "已告知：{notified}",
        "changes": "变更性质：{changes}；回退方法：{undo}；所需院方批准：{approvals} 人",
        "inputs": "参数：{inputs}",
        "none": "无",
        "plan": "预演（{made}，在主机上以检查模式执行，运行号 {run}）：共 {count} 项变更",
        "change": "  {host}　{task}",
        "subject": "　→　{subject}",
        "nothing": "  预演未发现需要变更的项目",
        "blind": "  说明：预演只能显示检查模式下可判断的变更；命令类步骤在实施时才执行",
        "digest": "预演摘要 SHA-256：{sha256}",
        "nature": {"nothing": "不变更", "reversible": "可回退", "irreversible": "不可回退"},
    },
    "en": {
        "order": "Order {id}: {title} ({name})",
        "site": "Site {site}: {hospital} {system}",
        "hosts": "{count} hosts: {hosts}",
        "window": "Window: {window}",
        "reason": "Reason: {reason}",
        "notified": "Told: {notified}",
        "changes": "Nature: {changes}; way back: {undo}; approvals of the hospital needed: {approvals}",
        "inputs": "Inputs: {inputs}",
        "none": "none",
        "plan": "Rehearsed on the hosts in check mode ({made}, run {run}): {count} changes",
        "change": "  {host}  {task}",
        "subject": "  ->  {subject}",
        "nothing": "  the rehearsal found nothing to change",
        "blind": "  note: a rehearsal shows what check mode can tell; commands act only in the run itself",
        "digest": "SHA-256 of the rehearsal: {sha256}",
        "nature": {"nothing": "nothing", "reversible": "reversible", "irreversible": "irreversible"},
    },
}


def summary(
    order: Mapping[str, Any], book: RunbookInfo, plan: Plan, language: Literal["zh", "en"]
) -> list[str]:
    """The order for those who approve it, line by line."""
    words: dict[str, Any] = _WORDS[language]
    facts = order["site_facts"]
    inputs = [
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in order["inputs"].variables.items()
    ]
    inputs += [f"--limit {order['inputs'].limit}"] if order["inputs"].limit else []
    lines = [
        words["order"].format(
            id=order["id"],
            title=book.title.get(language) or next(iter(book.title.values()), ""),
            name=book.name,
        ),
        words["site"]
        .format(site=order["site"], hospital=facts.get("hospital", ""), system=facts.get("system", ""))
        .rstrip(),
        words["hosts"].format(count=len(order["hosts"]), hosts=", ".join(order["hosts"])),
        words["window"].format(window=order["window"].text()),
        words["reason"].format(reason=order["reason"]),
        words["notified"].format(notified=order["notified"]),
        words["changes"].format(
            changes=words["nature"][book.changes], undo=book.undo, approvals=order["approvals"]
        ),
        words["inputs"].format(inputs="; ".join(inputs) or words["none"]),
        words["plan"].format(made=local_time.minute(plan.made), run=plan.run, count=len(plan.changes)),
    ]
    lines += [
        words["change"].format(host=change.host, task=change.task)
        + (words["subject"].format(subject=change.subject) if change.subject else "")
        for change in plan.changes
    ]
    lines += [] if plan.changes else [words["nothing"]]
    lines += [words["blind"], words["digest"].format(sha256=plan.sha256)]
    return [_visible(line) for line in lines]


def summary_of(order: Order, language: Literal["zh", "en"]) -> list[str]:
    """What its facts say to people, whatever its own summary does."""
    return summary(
        {name: getattr(order, name) for name in Order.model_fields}, order.runbook, order.plan, language
    )


def _visible(line: str) -> str:
    """Nothing that moves a terminal's cursor, begins a line or turns the direction of reading."""
    return "".join(char if char.isprintable() or char == "　" else ascii(char)[1:-1] for char in line)


def _short(value: str) -> str:
    return value[:12] if re.fullmatch(r"[0-9a-f]{40,64}", value) else value or "none"


def _glob_escape(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
