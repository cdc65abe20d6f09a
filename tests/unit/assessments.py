"""Records of check_baseline as tests need them: the real catalogue and checks, results that are made up."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import factories
import yaml

from maintenance import catalogue
from maintenance.assessment import Case, assess
from maintenance.assessment_evidence import Shown
from maintenance.comparison import compare
from maintenance.record import CheckInfo, Finding, Record

BEFORE = "2026-08-20T13:17:44Z"
RUNBOOK = {
    "name": "check_baseline",
    "title": {"zh": "等保基线检查", "en": "MLPS baseline"},
    "clauses": ["3.2.6.5"],
    "changes": "nothing",
    "undo": "",
}
WAIVERS = (
    {
        "rule": "PG-IA-01",
        "hosts": ["db1"],
        "reason": "历史接口账户，厂商改造排期至 2027 年一季度；已限定来源地址。",
        "approved_by": "信息科 王主任",
        "until": "2027-03-31",
    },
    {
        "rule": "PG-IA-02A",
        "hosts": ["db1", "app1"],
        "reason": "备份脚本依赖本机登录",
        "approved_by": "信息科 王主任",
        "until": "2026-10-31",
    },
)
SHOWN = (
    Shown(
        "run",
        "inspect",
        "2026-11-01T02:00:00Z",
        "000041-close-20261101T015500Z-inspect",
        "季度巡检，3 台主机",
    ),
    Shown(
        "entry", "training", "2026-09-12T01:00:00Z", "000033-entry-training", "安全意识培训：口令与钓鱼邮件"
    ),
    Shown("order", "", "2026-10-10T01:00:00Z", "000037-close-patch", "补丁安装 按工单 20261010T…-patch 执行"),
)


@cache
def rules() -> tuple[dict[str, Any], ...]:
    """The checks as their files hold them."""
    return tuple(
        rule
        for path in sorted(catalogue.FOLDER.glob("*_checks.yml"))
        if path.name.startswith(("linux", "postgresql"))
        for rule in yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["rules"] or []
    )


def finding(rule: dict[str, Any], host: str, language: str = "zh", luck: int = 0) -> Finding:
    """A result of a check: the same for the same arguments; `luck` more of 20 pass."""
    number = (
        zlib.crc32(f"{rule['id']}{host if zlib.crc32(rule['id'].encode()) % 4 == 0 else ''}".encode()) % 20
    )
    verdict = (
        "fail" if number < 6 - luck else "partial" if number == 6 else "unknown" if number == 7 else "pass"
    )
    actual = {
        "fail": "rounds=5000 sha512，最近修改 2019-03-01",
        "partial": "已设 2 项，缺 1 项",
        "unknown": "needs root: /etc/shadow",
        "pass": "12 项全部符合",
    }
    return factories.finding(
        id=rule["id"],
        clause=rule["clause"],
        area=rule["unit"],
        title=rule["title"][language],
        subject=host if number % 3 else "main pg_hba.conf:97",
        expected=str(rule["expected"])[:80],
        actual=actual[verdict],
        verdict=verdict,
        severity=rule["severity"],
        owner=rule["owner"],
        advice="" if verdict == "pass" else rule["advice"][language],
    )


def record(
    count: int = 5,
    *,
    language: Any = "zh",
    again: bool = False,
    given: Sequence[dict[str, Any]] | None = None,
    **changed: Any,
) -> Record:
    """An assessment of `count` hosts, the first with the database; `again`: the one after a remediation."""
    names = ["db1", *(f"app{number}" for number in range(1, count))][:count]
    chosen = rules() if given is None else given
    evidence = {name: _of(chosen, name, language, 3 if again else 0) for name in names}
    values: dict[str, Any] = {
        "run": "20261122T131501Z-0007-check_baseline",
        "runbook": RUNBOOK,
        "reason": "三级等保年度自查",
        "language": language,
        "hosts": [factories.host(name, ["database" if name == "db1" else "application"]) for name in names],
        "evidence": evidence,
        "metrics": {},
        "hosts_expected": names,
        "hosts_processed": names,
        "attachments": factories.inspection(count).attachments if count else [],
    }
    before = _assessed(values, {name: _of(chosen, name, language, 0) for name in names}, {}, chosen)
    if again:
        previous = before.model_copy(
            update={"run": "20260820T131501Z-0003-check_baseline", "finished": BEFORE}
        )
        assert previous.assessment is not None
        verdicts = {item.unit: item.verdict for item in previous.assessment.items}
        made = _assessed(values, evidence, verdicts, chosen)
        followed = compare(made.evidence, previous, finished=made.finished)
        before = made.model_copy(update={"comparison": followed})
    return before.model_copy(update=changed)


def _of(chosen: Sequence[dict[str, Any]], host: str, language: str, luck: int) -> list[Finding]:
    return [
        finding(rule, host, language, luck)
        for rule in chosen
        if host == "db1" or not rule["id"].startswith("PG-")
    ]


def _assessed(
    values: dict[str, Any],
    evidence: dict[str, list[Finding]],
    previous: dict[str, Any],
    chosen: Sequence[dict[str, Any]],
) -> Record:
    case = Case(
        evidence=evidence,
        hosts=values["hosts_expected"],
        at=factories.FINISHED,
        language=values["language"],
        shown=SHOWN,
        waivers=WAIVERS,
        mitigations={"A-18": "数据库只在业务网段可达，堡垒机双因素登录"},
        previous=previous,
        score_2021=True,
    )
    infos = [
        CheckInfo(
            id=rule["id"],
            unit=rule["unit"],
            risk=rule["risk"],
            danger=rule.get("danger", ""),
            fixable=zlib.crc32(rule["id"].encode()) % 3 > 0,
            reboot=rule.get("reboot", False),
        )
        for rule in chosen
    ]
    assessed = assess(catalogue.load(), infos, case)
    return factories.record(**(values | {"evidence": evidence, "assessment": assessed}))
