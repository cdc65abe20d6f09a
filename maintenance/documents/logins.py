"""《登录与记录核对表》: logins on the hosts against the ledger, for both sides to sign. Made from the entry alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from maintenance.documents.clean import clean
from maintenance.documents.inspection import TEMPLATES, EntryFacts
from maintenance.documents.table import GREEN, GREY, NONE, RED, YELLOW, Row, Table, number_rows
from maintenance.local_time import ZONE, day, parse

_MANY = 3  # logins of a run on each host; more are coloured, for somebody may have worked beside it
_ROWS = 200  # of one table; the entry holds more
_WORDS: dict[str, dict[str, Any]] = {
    "zh": {
        "missing": "未提供",
        "all": "全部主机日志完整，工程师登录均有台账记录。",
        "unexplained": "有 {count} 次工程师登录在台账中没有对应记录，请双方逐条说明。",
        "gaps": "有 {count} 台主机的日志未能完整取得，其登录情况未知。",
        "heads": {
            "agrees": "一致：与医院登记的 {count} 条逐条相同{unheld}",
            "not_compared": "未比对：本站点没有见证端，也未提供医院登记",
            "unreachable": "未比对：{why}",
        },
        "unheld": "；另有 {count} 条尚未送达见证端",
        "tolerance": "{seconds} 秒",
        "unread": "未取得：{why}",
        "gap": "日志未覆盖全部期间，更早情况未知",
        "problem": "部分未取得：{why}",
        "offset": "；主机时钟偏差 {seconds} 秒，已校正",
        "ok": "均有记录",
        "found": "有 {count} 次无记录",
        "none": "无",
        "no_unexplained": "没有此类登录。",
        "more": "另有 {count} 项，见台账条目 entry.json。",
        "what": {
            "run": "运行",
            "visit": "远程或现场记录",
            "witness": "送达见证端",
            "automation": "约定的自动登录",
            "by_hand": "手工运行（无记录）",
        },
        "unknown_key": "工程师账户，未用密钥",
        "stayed": "（随运行登录，运行结束后仍未退出，至 {until}）",
        "to": " 至 ",
        "note": "登录取自各主机 sshd 的日志（系统日志，或 auth.log / secure）。"
        "主机管理员可以改动本机日志，故本表只说明日志中留有的登录；"
        "医院的堡垒机、VPN 和日志服务器的记录可用于进一步核对。"
        "一次运行对每台主机通常只登录一至数次，次数明显偏多的（黄色）请核查。"
        "时间均为北京时间。已签名的 entry.json 为准，本表由其生成。",
    },
    "en": {
        "missing": "not provided",
        "all": "Every log is complete, and the ledger explains every login of an engineer.",
        "unexplained": "{count} logins of engineers are explained by no record: both sides say what they were.",
        "gaps": "The logs of {count} hosts could not be read completely: their logins are unknown.",
        "heads": {
            "agrees": "They agree: all {count} entries of the hospital's list are the same{unheld}",
            "not_compared": "Not compared: the site has no witness, and no list of the hospital was given",
            "unreachable": "Not compared: {why}",
        },
        "unheld": "; {count} entries are not delivered yet",
        "tolerance": "{seconds} s",
        "unread": "not obtained: {why}",
        "gap": "the log does not cover the whole period: what was before is unknown",
        "problem": "partly not obtained: {why}",
        "offset": "; its clock differs by {seconds} s, which is corrected",
        "ok": "all recorded",
        "found": "{count} without a record",
        "none": "none",
        "no_unexplained": "There is no such login.",
        "more": "{count} more are in entry.json of the ledger.",
        "what": {
            "run": "run",
            "visit": "remote or on-site entry",
            "witness": "delivery to the witness",
            "automation": "agreed automation",
            "by_hand": "run by hand (unrecorded)",
        },
        "unknown_key": "an engineer's account, without a key",
        "stayed": " (with a run, and stayed after its end until {until})",
        "to": " to ",
        "note": "Logins are taken from sshd's log on each host (the journal, or auth.log / secure). Whoever administers "
        "a host can alter its log, so this shows the logins that are left in it; the hospital's own bastion, VPN and log "
        "server can tell more. A run logs in once or a few times on each host: many more (yellow) are worth a question. "
        "Times are UTC+8. The signed entry.json governs; this is made from it.",
    },
}


def file_name(site: str, until: str) -> str:
    """lab_logins_20261123.docx: ASCII, as the paths of an entry must be."""
    return f"{site}_logins_{day(until).replace('-', '')}.docx"


def render(
    entry: Mapping[str, Any],
    site_facts: Mapping[str, str],
    target: Path,
    *,
    language: Literal["zh", "en"],
    at: EntryFacts | None = None,
) -> Path:
    """Write the document of a comparison entry to `target`."""
    from docxtpl import DocxTemplate
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    context = build_context(entry, site_facts, language=language, at=at)
    template = DocxTemplate(TEMPLATES / f"logins.{language}.docx")
    template.render(
        context, SandboxedEnvironment(autoescape=True, undefined=StrictUndefined), autoescape=True
    )
    properties = template.docx.core_properties
    properties.title = f"{context['cover']['system']}"[:250]
    properties.author = context["facts"]["engineer"]
    properties.comments = ""
    properties.language = "zh-CN" if language == "zh" else "en"
    properties.created = properties.modified = parse(entry["recorded"]).replace(tzinfo=None)
    template.save(str(target))
    return target


def build_context(
    entry: Mapping[str, Any],
    site_facts: Mapping[str, str],
    *,
    language: Literal["zh", "en"],
    at: EntryFacts | None = None,
) -> dict[str, Any]:
    """Everything that the template names; pure."""
    words = _WORDS[language]
    told = entry["comparison"]
    facts = {name: clean(value, 120) for name, value in site_facts.items()}
    parties = [facts.get("hospital", ""), facts.get("vendor", "")]
    return {
        "cover": {
            "system": facts.get("system") or clean(entry["site"], 60),
            "parties": "  |  ".join(part for part in parties if part),
            "day": day(entry["until"]),
            **{name: facts.get(name) or words["missing"] for name in ("hospital", "vendor", "contract")},
        },
        "conclusion": _conclusion(told, words),
        "facts": {
            "period": f"{_time(entry['at'])}{words['to']}{_time(entry['until'])} (UTC+8)",
            "heads": _heads(told["heads"], words),
            "run": clean(entry["fields"].get("run"), 120) or words["none"],
            "engineer": clean(entry["operator"]["principal"], 120),
            "tolerance": words["tolerance"].format(seconds=told["tolerance_seconds"]),
        },
        "hosts": Table([_host(name, row, words) for name, row in told["hosts"].items()]),
        "unexplained": _unexplained(told, words),
        "explained": _explained(told, words),
        "other": _other(told, words),
        "keys": _keys(told, words),
        "note": words["note"],
        "proof": {
            "seq": f"{at.seq:06d}" if at else words["none"],
            "entry": at.record_sha256 if at else words["none"],
            "previous": at.previous_manifest_sha256 if at else words["none"],
        },
    }


def _conclusion(told: Mapping[str, Any], words: dict[str, Any]) -> dict[str, str]:
    unexplained = told["counts"]["unexplained"]
    gaps = sum(bool(row["gap"]) for row in told["hosts"].values())
    parts = [words["unexplained"].format(count=unexplained)] if unexplained else []
    parts += [words["gaps"].format(count=gaps)] if gaps else []
    colour = RED if unexplained else YELLOW if gaps else GREEN
    return {"text": " ".join(parts) or words["all"], "colour": colour}


def _heads(heads: Mapping[str, Any], words: dict[str, Any]) -> str:
    unheld = words["unheld"].format(count=heads["unheld"]) if heads.get("unheld") else ""
    text: str = words["heads"][heads["state"]]
    return text.format(count=heads.get("count", 0), unheld=unheld, why=clean(heads.get("why"), 200))


def _host(name: str, row: Mapping[str, Any], words: dict[str, Any]) -> Row:
    why = clean(row["problem"], 160)
    if not row["read"]:
        result, colour = words["unread"].format(why=why), GREY
    elif row["unexplained"]:
        result, colour = words["found"].format(count=row["unexplained"]), RED
    else:
        result, colour = words["ok"], NONE
    if row["read"] and row["gap"]:
        result += "；" if words is _WORDS["zh"] else "; "
        result += words["problem"].format(why=why) if why else words["gap"]
        colour = RED if row["unexplained"] else YELLOW
    if row["offset_seconds"]:
        result += words["offset"].format(seconds=row["offset_seconds"])
    return {
        "host": clean(name, 80),
        "since": _time(row["since"]),
        "reaches": _time(row["reaches_back_to"]) if row["reaches_back_to"] else "—",
        **{count: row[count] if row["read"] else "—" for count in ("explained", "unexplained", "other")},
        "result": result,
        "colour": colour,
    }


def _unexplained(told: Mapping[str, Any], words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {
            "time": _time(row["time"], seconds=True) + _stayed(row, words),
            "host": clean(row["host"], 80),
            "user": clean(row["user"], 60),
            "source": clean(row["source"], 60),
            "who": words["unknown_key"] + f" ({clean(row['method'], 40)})"
            if row["engineer"] == "?"
            else clean(f"{row['engineer']} ({row['fingerprint'][:13]}…)", 160),
            "blank": "",
        }
        for row in told["unexplained"]
    ]
    return _table(rows, told["counts"]["unexplained"], words, words["no_unexplained"])


def _stayed(row: Mapping[str, Any], words: dict[str, Any]) -> str:
    return str(words["stayed"].format(until=_time(row["ended"], seconds=True))) if row["stayed"] else ""


def _explained(told: Mapping[str, Any], words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {
            "what": words["what"][row["what"]],
            "by": clean(f"{row['by']}" + (f"：{row['text']}" if row["what"] == "automation" else ""), 200),
            "hosts": clean(", ".join(row["hosts"]), 160),
            "logins": row["logins"],
            "colour": YELLOW if row["what"] == "run" and row["logins"] > _MANY * len(row["hosts"]) else NONE,
            "first": _time(row["first"]),
        }
        for row in told["explained"]
    ]
    return _table(rows, len(rows), words, words["none"])


def _keys(told: Mapping[str, Any], words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {"name": clean(name, 120), "key": clean(key, 120)} for key, name in told["keys"].items()
    ]
    return _table(rows, len(rows), words, words["none"])


def _other(told: Mapping[str, Any], words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {
            "host": clean(row["host"], 80),
            "user": clean(row["user"], 60),
            "source": clean(row["source"], 60),
            "key": clean(f"{row['method']} {row['fingerprint']}", 160),
            "logins": row["logins"],
            "period": f"{_time(row['first'])}{words['to']}{_time(row['last'])}",
        }
        for row in told["other"]
    ]
    return _table(rows, len(rows), words, words["none"])


def _table(rows: list[Row], count: int, words: dict[str, Any], nothing: str) -> Table:
    left = count - min(len(rows), _ROWS)
    note = words["more"].format(count=left) if left > 0 else "" if rows else nothing
    return Table(number_rows(rows[:_ROWS]), note)


def _time(instant: str, *, seconds: bool = False) -> str:
    return parse(instant).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
