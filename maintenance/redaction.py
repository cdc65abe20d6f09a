"""Keeps secrets and patients out of a record: known values and known patterns are masked before anything is
hashed, hits are counted, and bytes that still hold a known secret are refused.

Known values are those of this run (extra variables, vaulted variables, variables whose name says secret).
Low-entropy secrets are never hashed, only masked.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import math
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from maintenance.errors import RefusedError

SECRET_NAME = re.compile(
    r"(?i)(?<!by)pass(word|phrase|wd|code)?s?($|_(?!m(ax|in)_|warn_))|(^|_)pwd?($|_)|secret|token|credential"
    r"|(api|access|auth|encryption|private)_?key"
)
# What may lie in a mapping whose name says secret without being one: credentials: {user: postgres, host: db1}.
PLAIN_NAME = re.compile(
    r"(?i)((ansible_|db_?|login_)?(user(name)?|host(name)?|port|name|role|database)|type|method|path|(key_?)?file|url|id)"
)
_SHORTEST = 4  # characters; masking a shorter value would blacken ordinary words and numbers

# Names of patients. Only where a word says that a patient's name follows: names in free text cannot all be known
# (docs/evidence.md). The surname stays: 张**.
_SURNAMES = (
    "欧阳|上官|司马|诸葛|夏侯|皇甫|尉迟|公孙|慕容|令狐|司徒|东方|南宫|"
    "[王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金"
    "石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟"
    "殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳"
    "时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖]"
)
# What follows 患者 in ordinary sentences and begins with a surname too.
_ORDINARY = (
    "高血|高龄|高危|高钾|高磷|安全|安排|安装|常规|常用|方案|方面|方式|余额|陆续|周期|周边|周转|马上|许可|许多|程度|程序|康复|黄疸|"
    "白细|白蛋|何时|任何|任意|曾经|连接|史|金额|文件|文档|文书|全部|全体|全名|夏季|严重|苏醒|叶酸|谢绝|顾虑|时间|时段|应用|应急|"
    "应当|管理|管路|解除|解决|应|成功|成员|单位|单号|单据|单独|关联|关系|关怀|关注|包括|包含|简介|简况|温度|水|江|江湖|路径|路由|"
    "万|向导|向上|易感|平|华|房间|商保|费用|费别|党|师|和|于|农|车|游|司机|古|阳性|景|席位|宫|冷|米|边|荣|项目|尚未|左|右|"
    "宁|季度|游离|盛|凌晨|童|申请|申报|章|柏|兰|梅毒|石|金|施|段|龙|雷|武|唐筛|毛细|钱款|孔|汤|吉|麦|卫生|蓝|曲线|冉|古|卜|丁"
)
_NEXT = "的在于透反说诉称上下开今昨前已未无有和与及等治进出入做因要血体病现曾需主住姓家电床刚等因感发出头胸不"
_HAN = "一-鿿"
_GIVEN = rf"(?:[{_HAN}]{{1,2}}(?=[{_NEXT}]|[^{_HAN}*]|$)|[{_HAN}]{{1,2}}(?![*]))"
_NOBODY = "未知|不详|保密|匿名|多名|若干|所有|某|数据|信息"
_PATIENT_NAME = (
    # 患者姓名：张三, 姓名=李四, 患者（王五）, "patient_name": "赵六"
    rf"(?P<keep>(?:(?:患者|病人|病员|受检者)(?:的)?(?:姓名|名字)?|(?<![{_HAN}])姓名|(?i:patient_?name|hz_?xm))"
    rf"(?:[\"']?\s{{0,3}}[:：=]\s{{0,3}}[\"'“]?|[(（【\"“]))(?!(?:{_ORDINARY}|{_NOBODY}))"
    rf"(?:(?P<family>{_SURNAMES}){_GIVEN}|(?P<first>[{_HAN}])[{_HAN}·]{{1,8}}(?![{_HAN}·*]))"
    # 患者张三透析中断
    rf"|(?P<keep2>(?:患者|病人)(?:姓名|名字)?\s?)(?!{_ORDINARY})"
    rf"(?P<family2>{_SURNAMES})[{_HAN}]{{1,2}}(?=[{_NEXT}]|[^{_HAN}*]|$)"
    # Patient: Zhang San
    r"|(?P<keep3>\b[Pp]atient(?:'s)?(?:[ _][Nn]ame)?[\"']?\s{0,3}[:=]\s{0,3}[\"']?)"
    r"(?P<family3>[A-Z])[A-Za-z'-]{1,30}(?: [A-Z][A-Za-z'-]{1,30}){0,2}"
)
_PARTS = ("keep", "family", "first", "keep2", "family2", "keep3", "family3")  # of a match, what may be read
# A field of this name holds one, whatever it looks like.
_PATIENT_FIELD = re.compile(
    r"(?i)(?:patient|pat|hz|br)_?(?:name|xm)|patient|患者(?:姓名)?|病人(?:姓名)?|姓名|xm"
)

# Name, pattern, what stays. Group 'keep' is what may be read of a match. Each takes time in proportion to a text that a
# hostile host chose: nothing repeats without bound before what makes it a match.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("private_key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
    ("url_password", r"(?P<keep>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{1,64}:)[^\s/@]+(?=@)"),
    ("bearer", r"(?i)(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    (
        "assignment",
        # /etc/passwd and its kin are files; what follows their names is a mode or an owner.
        r"(?i)(?P<keep>[\"']?(?<!/etc/)(?<!/etc/security/o)(?<!/etc/pam\.d/)"
        r"(?:password|passwd|passphrase|pgpass|secret|token|api[_-]?key)[\w.-]{0,64}[\"']?\s*[=:]\s*)"
        r"(?:\"[^\"]*\"|'[^']*'|[^\s,;\"'}\]]+)",
    ),
    ("sql_password", r"(?i)(?P<keep>\bpassword\s+)'[^']*'"),
    ("crypt_hash", r"\$(?:1|2[abxy]?|5|6|y|7|gy|sm3)\$[./A-Za-z0-9,=$-]{8,}"),
    ("scram", r"SCRAM-SHA-256\$[^\s\"']+"),
    ("md5_password", r"\bmd5[0-9a-f]{32}\b"),
    (
        "resident_id",
        r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])",
    ),
    (
        "mobile_phone",
        # As written by people too: 138-0013-8000, +86 138 0013 8000. A version or a path of digits is none.
        r"(?<![0-9A-Za-z])(?<!\d\.)(?:\+?86[- ]?)?1[3-9]\d(?:\d{8}|-\d{4}-\d{4}| \d{4} \d{4})(?![0-9A-Za-z]|\.\d)",
    ),
    (
        "patient_number",
        r"(?P<keep>(?:住院|门诊|病案|病历|透析|就诊卡|医保卡?)号(?:码)?\s{0,3}[:：=]?\s{0,3})[A-Za-z]{0,3}\d[0-9A-Za-z-]{3,24}",
    ),
    ("patient_name", _PATIENT_NAME),
)
# Words that a match of 'assignment' may have behind the sign without being a secret.
_HARMLESS = re.compile(
    r"(?i)[\"']?(?:yes|no|on|off|true|false|none|null|set|locked|empty|required|prohibit-password|\*+|\[masked.*)[\"']?"
)
_COMPILED = tuple((name, re.compile(pattern)) for name, pattern in _PATTERNS)
POLICY_SHA256 = hashlib.sha256(json.dumps([_PATTERNS, _HARMLESS.pattern, _SHORTEST]).encode()).hexdigest()


_TOKEN = re.compile(r"\[masked:[a-z_]+\]")
_DEEPEST = 60  # levels of a structure; what lies deeper is no snapshot
# Strings that our own format makes of digits: a short secret that they happen to hold is not betrayed by them.
_MADE = re.compile(
    r"[0-9a-f]{40}|[0-9a-f]{64}|\d{8}T\d{6}Z-[0-9a-f]{4}-\w+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"
)


class Redactor:
    """Masks text and structures, and counts what it masked by rule."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.hits: Counter[str] = Counter()
        self._known = sorted(
            {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)},
            key=len,
            reverse=True,
        )
        self._known_pattern = re.compile("|".join(map(re.escape, self._known))) if self._known else None

    def text(self, text: str) -> str:
        """The text with known values and known patterns masked, and nothing in it that UTF-8 cannot hold."""
        text = text.encode("utf-8", errors="replace").decode()
        if self._known_pattern:
            text = self._known_pattern.sub(lambda _: self._mask("known_value"), text)
        for name, pattern in _COMPILED:
            if _may_hold(name, text):
                text = pattern.sub(lambda match, name=name: self._masked(name, match), text)  # type: ignore[misc]
        return text

    def uncounted(self) -> Redactor:
        """Masks the same; what it masks is on a screen and in no record."""
        twin = copy.copy(self)
        twin.hits = Counter()
        return twin

    def value(self, value: Any, depth: int = 0) -> Any:
        """The same structure with every string, also in keys, masked; such as JSON can hold and give back."""
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEEPEST:
            return "[too deep]"
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): self._named(str(key), item, depth + 1) for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if isinstance(value, (int, float)):
            return self._mask("known_value") if str(value) in self._known else value
        return self.text(str(value))

    def check(self, data: bytes, where: str, vocabulary: Callable[[], str] = str) -> None:
        """Refuse to sign bytes that still hold a known secret; the message never shows it.

        vocabulary: gives the text of the format itself. A secret that is a word of it ("host", "warning") is masked in
        every value, but its standing in the format betrays nothing.
        """
        text = _TOKEN.sub("", self._told(data.decode("utf-8", errors="replace")))
        if any(form in text and form not in vocabulary() for form in self._known):
            raise RefusedError(f"a known secret is still in {where}; it was not signed and not stored")

    def _told(self, text: str) -> str:
        """What JSON, or JSON by the line, tells in strings; anything else as it is."""
        told: list[str] = []
        try:
            for part in [text] if text.startswith("{\n") else text.splitlines():
                self._collect(json.loads(part), told)
        except (ValueError, RecursionError):
            return text
        return "\0".join(told)

    def _collect(self, value: Any, told: list[str]) -> None:
        if isinstance(value, str):
            if value in self._known or not _MADE.fullmatch(value):
                told.append(value)
        elif isinstance(value, dict):
            told.extend(value)
            for item in value.values():
                self._collect(item, told)
        elif isinstance(value, list):
            for item in value:
                self._collect(item, told)

    def _named(self, key: str, item: Any, depth: int) -> Any:
        if isinstance(item, str) and item and SECRET_NAME.search(key) and not _HARMLESS.fullmatch(item):
            return self._mask("secret_name")
        if isinstance(item, str) and item and _PATIENT_FIELD.fullmatch(key):
            self.hits["patient_name"] += 1
            return f"{item[0]}**"
        return self.value(item, depth)

    def _masked(self, name: str, match: re.Match[str]) -> str:
        kept = match.groupdict().get("keep") or ""
        if name == "patient_name":
            self.hits[name] += 1
            parts = match.groupdict(default="")
            return "".join(parts[part] for part in _PARTS) + "**"
        if name == "assignment" and _HARMLESS.fullmatch(match[0][len(kept) :]):
            return match[0]
        return kept + self._mask(name)

    def _mask(self, rule: str) -> str:
        self.hits[rule] += 1
        return f"[masked:{rule}]"


_HINTS = {
    "private_key": "PRIVATE KEY",
    "url_password": "://",
    "crypt_hash": "$",
    "scram": "SCRAM-",
    "md5_password": "md5",
    "sql_password": "'",
}


def _may_hold(name: str, text: str) -> bool:
    """Cheap test before a costly pattern: snapshots hold tens of thousands of short strings."""
    if name == "patient_name":
        return (
            "患者" in text
            or "病人" in text
            or "姓名" in text
            or "atient" in text
            or "病员" in text
            or "受检" in text
        )
    if name == "patient_number":
        return "号" in text
    hint = _HINTS.get(name)
    if hint:
        return hint in text
    if name in ("resident_id", "mobile_phone"):
        return len(text) >= 11
    return len(text) >= 8 and (name == "bearer" or "=" in text or ":" in text)


def _forms(secret: str) -> set[str]:
    """The spellings under which a secret may turn up: plain, JSON-escaped, URL-quoted, base64."""
    plain = {secret, secret.strip(), *(line for line in secret.splitlines() if len(line) >= 2 * _SHORTEST)}
    forms = set()
    for text in plain:
        if len(text) < _SHORTEST:
            continue
        escaped = json.dumps(text)[1:-1]
        forms |= {
            text,
            escaped,
            json.dumps(text, ensure_ascii=False)[1:-1],
            urllib.parse.quote(text, safe=""),
        }
        forms.add(base64.b64encode(text.encode()).decode().rstrip("="))
    return {form for form in forms if len(form) >= _SHORTEST}
