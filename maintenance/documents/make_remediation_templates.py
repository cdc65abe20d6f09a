"""Makes the templates of 《等保整改报告》: `python -m maintenance.documents.make_remediation_templates`; see
make_templates.py.
"""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page
from maintenance.documents.make_templates import LANGUAGES, TEMPLATES

CHAPTERS = (
    ("1  整改概况", "1  Overview"),
    ("2  测评项整改前后", "2  Items before and after"),
    ("3  已整改的问题", "3  What was mended"),
    ("4  未整改的问题与补偿措施", "4  What is left, and what makes up for it"),
    ("5  重大风险隐患候选", "5  Candidates of grave dangers"),
    ("6  已接受的偏差（豁免）", "6  Accepted deviations (waivers)"),
    ("7  复测与回退", "7  How it was looked at again, and the way back"),
    ("8  签字确认", "8  Signatures"),
)


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the template in one language."""
    page = Page(language)
    t = page.t
    page.text("{{ cover.system }}", "CoverSub", centre=True)
    page.text(t("等 保 整 改 报 告", "Remediation report, MLPS level 3"), "Cover", centre=True)
    page.box(
        t(
            "依据自评估复测，非测评结论；不代替等级测评机构的复测。",
            "Looked at again by a self-assessment, not by an assessor.",
        ),
        "'FFF2CC'",
    )
    _overview(page)
    page.section(landscape=True)
    for part in (_items, _mended, _unmended):
        part(page)
    page.section(landscape=False)
    for part in (_dangers, _waivers, _again, _signatures):
        part(page)
    page.header_and_footer(
        (
            t("{{ cover.system }} 等保整改报告", "{{ cover.system }}: remediation, MLPS level 3"),
            t("自评估，非测评结论", "Self-assessment only"),
        ),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"remediation.{language}.docx"
    page.document.save(str(path))
    return path


def _chapter(page: Page, number: int) -> None:
    page.heading(page.t(*CHAPTERS[number - 1]), 2)


def _overview(page: Page) -> None:
    _chapter(page, 1)
    page.box("{{ summary.conclusion }}", "summary.colour")
    page.numbers(
        """
        整改前问题 | Before | summary.before | F2F2F2
        已整改 | Mended | summary.closed | E2F0D9
        未整改 | Not mended | summary.open | F8CBAD
        未能复核 | Not looked at | summary.unknown | E7E6E6
        新发现 | New | summary.new | FFE699
        """
    )
    page.facts(
        """
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        报告编号 | Report number | {{ cover.number }}
        系统名称 | System | {{ cover.system }}
        安全保护等级 | Level | 第三级（以备案证明为准） | three (as filed)
        备案证明编号 | Filing number | （由院方填写） | (the hospital fills it in)
        评估依据 | Standard | {{ cover.standard }}
        整改前自评估 | Assessment before | {{ summary.previous }}
        整改后自评估 | Assessment after | {{ cover.period }}，{{ cover.run }} | {{ cover.period }}, {{ cover.run }}
        复测工程师 | Engineer | {{ cover.engineer }}
        复核 | Reviewer | {{ cover.reviewer }}
        """
    )


def _items(page: Page) -> None:
    _chapter(page, 2)
    page.text("{{ changes.sentence }}")
    page.table(
        "r in changes.counts.rows",
        """
        4.6 | 结论 | Verdict | verdict | colour, centre
        4.0 | 整改前 | Before | before | centre
        4.0 | 整改后 | After | after | centre
        4.0 | 增减 | Difference | difference | centre
        """,
    )
    page.rows_or_note(
        "changes.units",
        """
        2.3 | 单元 / 条款 | Unit / clause | unit
        7.0 | 测评项 | Item | title
        2.0 | 整改前 | Before | before | before_colour, centre
        2.0 | 整改后 | After | after | after_colour, centre
        2.6 | 变化 | Change | change | colour, centre
        9.4 | 检查级变化 | Checks | detail
        """,
        "Dense",
    )


def _mended(page: Page) -> None:
    _chapter(page, 3)
    page.text("{{ mended.sentence }}")
    page.rows_or_note(
        "mended",
        """
        1.1 | 序号 | No. | number | centre
        2.4 | 检查 / 条款 | Check / clause | id
        5.0 | 检查项 / 对象 | What is checked | title
        2.8 | 主机 | Hosts | hosts
        1.4 | 级别 | Grade | severity | severity_colour, centre
        5.4 | 整改前 | Before | before
        5.2 | 整改后（复测） | After | after
        2.0 | 操作风险 / 自动整改 | Risk / harden | remedy | centre
        """,
        "Dense",
    )


def _unmended(page: Page) -> None:
    _chapter(page, 4)
    page.text("{{ unmended.sentence }}")
    page.rows_or_note(
        "unmended",
        """
        1.1 | 序号 | No. | number | centre
        2.3 | 检查 / 条款 | Check / clause | id
        3.3 | 检查项 / 对象 | What is checked | title
        1.9 | 主机 | Hosts | hosts
        1.3 | 级别 | Grade | severity | severity_colour, centre
        1.9 | 状态 | State | state | state_colour, centre
        4.2 | 整改前与复测 | Before and now | measured
        3.4 | 整改措施 | Advice | advice
        1.8 | 操作风险 / 自动整改 | Risk / harden | remedy | centre
        1.2 | 责任方 | Owner | owner | centre
        1.5 | 期限 | Due | due | centre
        2.3 | 补偿措施 / 接受风险批准人 | Instead / accepted by | instead
        """,
        "Dense",
    )


def _dangers(page: Page) -> None:
    _chapter(page, 5)
    page.text("{{ dangers.sentence }}", keep=True)
    page.rows_or_note(
        "dangers",
        """
        1.3 | 代码 | Code | code | colour, centre
        3.6 | 隐患 | Danger | title
        2.9 | 主机 | Hosts | hosts
        5.4 | 未通过的检查 | Checks that fail | checks
        3.4 | 缓解措施 | Mitigation | mitigation
        """,
    )


def _waivers(page: Page) -> None:
    _chapter(page, 6)
    page.text("{{ waivers.sentence }}")
    page.rows_or_note(
        "waivers",
        """
        1.0 | 序号 | No. | number | centre
        4.2 | 检查 | Check | check
        2.6 | 主机 | Hosts | hosts
        3.6 | 理由 | Reason | reason
        1.8 | 批准人 | Approved by | approved
        1.8 | 有效期至 | Until | until | centre
        1.6 | 状态 | State | state | colour, centre
        """,
    )


def _again(page: Page) -> None:
    t = page.t
    _chapter(page, 7)
    page.text(
        t(
            "复测：由运行手册 check_baseline 重新读取各主机的实际生效状态，按检查规则判断（规则文件的指纹见同次自评估报告"
            "附录 B）。主机未到达或数据未取得的问题列为“未能复核”，不计为已整改；已豁免的偏差见第 6 章。",
            "The runbook check_baseline read the state that is in effect and judged it once more (digests of its rules: "
            "appendix B of the assessment's report). Problems of hosts or values that could not be obtained are not "
            "looked at and do not count as mended; waived deviations are in chapter 6.",
        )
    )
    page.text(
        t(
            "回退：经运行手册 harden 实施的整改，可由 undo_hardening 按其还原点恢复到实施前的状态；人工实施的整改，"
            "由实施人另附回退方法。",
            "What the runbook harden did, undo_hardening takes back to the state of its restore point; whoever mended "
            "something by hand adds how to take it back.",
        )
    )
    page.facts(
        """
        台账序号 | Entry of the ledger | {{ cover.seq }}
        记录指纹 (SHA-256) | Record (SHA-256) | {{ cover.record_sha256 }}
        签名人 | Signer | {{ cover.signer }}
        """
    )
    page.text("{{ verification }}", "Note")
    page.text("sha256sum -c --strict MANIFEST", "Code")
    page.text(
        "ssh-keygen -Y verify -f allowed_signers -I {{ cover.principal }} -n maintenance-record "
        "-s MANIFEST.sig < MANIFEST",
        "Code",
    )


def _signatures(page: Page) -> None:
    t = page.t
    _chapter(page, 8)
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("意见：□ 确认    □ 有异议", "Opinion: □ confirmed   □ objections"),
            t("接受第 4 章所列剩余风险：□ 是  □ 否", "Accepts what chapter 4 leaves: □ yes  □ no"),
            t("信息科负责人：____________________", "Head of IT: ____________________"),
            t("安全管理员：______________________", "Security officer: ______________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
        [
            t("乙方：{{ cover.vendor }}", "Vendor: {{ cover.vendor }}"),
            t("实施人：__________________________", "Mended by: ____________________"),
            t("复测工程师：{{ cover.engineer }}", "Looked at again by: {{ cover.engineer }}"),
            t(
                "复核：{{ cover.reviewer }}  签字：____________",
                "Reviewer: {{ cover.reviewer }}  ____________",
            ),
            t(
                "项目经理：{{ cover.manager }}  签字：____________",
                "Manager: {{ cover.manager }}  ____________",
            ),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
    )


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
