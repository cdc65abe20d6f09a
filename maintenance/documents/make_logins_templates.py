"""Makes the templates of 《登录与记录核对表》: `python -m maintenance.documents.make_logins_templates`."""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page
from maintenance.documents.make_templates import LANGUAGES, TEMPLATES


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the template in one language."""
    page = Page(language)
    t = page.t
    page.text(t("登录与记录核对表", "Logins against records"), "Cover", centre=True)
    page.text("{{ cover.system }}", "CoverSub", centre=True)
    page.box("{{ conclusion.text }}", "conclusion.colour")
    page.facts(
        """
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        核对期间 | Period | {{ facts.period }}
        台账与医院登记 | Ledger and the hospital's list | {{ facts.heads }}
        登录采集运行 | Run that read the logins | {{ facts.run }}
        核对人 | Compared by | {{ facts.engineer }}
        时钟容差 | Tolerance of clocks | {{ facts.tolerance }}
        """
    )
    page.heading(t("1  各主机登录日志", "1  Logs of the hosts"), 2)
    page.rows_or_note(
        "hosts",
        """
        2.0 | 主机 | Host | host
        2.7 | 核对起点 | Compared from | since
        2.7 | 日志最早 | Log begins | reaches
        1.7 | 有记录 | Explained | explained | centre
        1.4 | 无记录 | Not | unexplained | centre
        1.8 | 其他密钥 | Other keys | other | centre
        4.3 | 结论 | Result | result | colour
        """,
    )
    page.heading(t("2  台账中没有对应记录的登录", "2  Logins that no record explains"), 2)
    page.text(
        t(
            "用工程师密钥（或工程师账户）登录，而台账中没有覆盖该时刻该主机的运行或工作记录。请双方逐条说明。",
            "Logins with an engineer's key, or to an engineer's account, that no run or entry of the ledger covers. Both "
            "sides say what each of them was.",
        )
    )
    page.rows_or_note(
        "unexplained",
        """
        1.0 | 序号 | No. | number | centre
        2.9 | 时间 | Time | time
        1.8 | 主机 | Host | host
        2.2 | 账户 | Account | user
        2.6 | 来源地址 | From | source
        3.3 | 身份（密钥） | Whose key | who
        2.8 | 双方说明 | Explanation | blank
        """,
    )
    page.heading(t("3  台账所说明的登录", "3  Logins that the ledger explains"), 2)
    page.rows_or_note(
        "explained",
        """
        1.0 | 序号 | No. | number | centre
        2.6 | 说明依据 | Explained by | what
        6.4 | 台账条目 | Entry | by
        3.2 | 主机 | Hosts | hosts
        1.2 | 次数 | Logins | logins | colour, centre
        2.2 | 首次 | First | first
        """,
    )
    page.heading(t("4  其他密钥的登录（请医院确认）", "4  Logins with other keys (for the hospital)"), 2)
    page.text(
        t(
            "以下登录所用密钥或账户不属于已登记的维保工程师，由医院确认归属。",
            "The keys and accounts below are nobody's whom the vendor has named; the hospital knows whose they are.",
        )
    )
    page.rows_or_note(
        "other",
        """
        1.8 | 主机 | Host | host
        2.2 | 账户 | Account | user
        2.6 | 来源地址 | From | source
        5.2 | 方式与密钥指纹 | Method and key | key
        1.2 | 次数 | Logins | logins | centre
        3.6 | 首次与末次 | First and last | period
        """,
    )
    page.heading(t("5  维保工程师的密钥", "5  Keys of the engineers"), 2)
    page.rows_or_note(
        "keys",
        """
        6.0 | 姓名或标识 | Name | name
        10.6 | 密钥指纹 | Fingerprint | key
        """,
    )
    page.heading(t("6  签字", "6  Signatures"), 2)
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("意见：□ 无异议    □ 有异议", "Opinion: □ agreed   □ not agreed"),
            t("信息科：__________________________", "IT department: ____________________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
        [
            t("乙方：{{ cover.vendor }}", "Vendor: {{ cover.vendor }}"),
            t("工程师：__________________________", "Engineer: ____________________"),
            t("项目经理：________________________", "Manager: ____________________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
    )
    page.heading(t("7  说明与核验", "7  What this shows, and verification"), 2)
    page.text("{{ note }}", "Note")
    page.facts(
        """
        台账序号 | Entry of the ledger | {{ proof.seq }}
        entry.json (SHA-256) | entry.json (SHA-256) | {{ proof.entry }}
        上一条 MANIFEST (SHA-256) | MANIFEST before it (SHA-256) | {{ proof.previous }}
        """
    )
    page.header_and_footer(
        (
            t("{{ cover.system }} 登录与记录核对表", "{{ cover.system }}: logins against records"),
            "{{ cover.day }}",
        ),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"logins.{language}.docx"
    page.document.save(str(path))
    return path


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
