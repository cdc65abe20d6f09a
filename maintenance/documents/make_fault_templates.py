"""Makes the templates of 《故障处理记录》: `python -m maintenance.documents.make_fault_templates`."""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page
from maintenance.documents.make_templates import LANGUAGES, TEMPLATES


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the template in one language."""
    page = Page(language)
    t = page.t
    page.text(t("故 障 处 理 记 录", "Fault record"), "Cover", centre=True)
    page.text("{{ cover.title }}", "CoverSub", centre=True)
    page.box("{{ conclusion.text }}", "conclusion.colour")
    _report(page)
    _repair(page)
    _proof(page)
    page.header_and_footer(
        (t("{{ cover.system }} 故障处理记录", "{{ cover.system }}: fault record"), "{{ report.id }}"),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"fault.{language}.docx"
    page.document.save(str(path))
    return path


def _report(page: Page) -> None:
    t = page.t
    page.heading(t("1  报修与受理", "1  Report"), 2)
    page.facts(
        """
        故障编号 | Fault | {{ report.id }}
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        报修人 / 科室 | Reported by, of | {{ report.reporter }}
        联系电话 | Telephone | {{ report.phone }}
        报修时间 | Reported | {{ report.opened }}
        受理时间 / 受理人 | Taken by | {{ report.taken }}
        级别 | Severity | {{ report.severity }}
        业务恢复 | Service restored | {{ report.restored }}
        关闭 | Closed | {{ report.closed }}
        """
    )
    page.heading(t("2  服务时限（合同 4.3）", "2  Response times (contract 4.3)"), 2)
    page.rows_or_note(
        "clocks",
        """
        2.5 | 时限 | Limit | name
        1.3 | 条款 | Clause | clause | centre
        1.5 | 约定 | Agreed | limit | centre
        3.0 | 开始 | From | started | centre
        3.0 | 响应 | Until | stopped | centre
        1.7 | 暂停 | Paused | paused | centre
        1.9 | 实际 | Used | used | centre
        1.7 | 结论 | Result | result | colour, centre
        """,
    )
    page.rows_or_note(
        "pauses",
        """
        2.5 | 暂停的时限 | Clock paused | name
        3.0 | 从 | From | started | centre
        3.0 | 到 | Until | stopped | centre
        5.1 | 特殊情况 | Special circumstances | reason
        3.0 | 院方同意人 | Agreed by | agreed
        """,
    )
    page.heading(t("3  影响范围", "3  What was affected"), 2)
    page.text("{{ fault.impact }}")
    page.heading(
        t(
            "4  故障描述与修复前沟通（合同 4.1.6）",
            "4  The fault, and what was asked before the repair (4.1.6)",
        ),
        2,
    )
    page.text("{{ fault.description }}")
    page.facts(
        """
        故障出现时间 | It appeared | {{ report.appeared }}
        发生频率 | How often | {{ report.frequency }}
        出现时的操作 | What was being done | {{ report.operation }}
        沟通完成 | Asked | {{ report.talked }}
        """
    )
    page.heading(t("5  原因分析", "5  Cause"), 2)
    page.facts(
        """
        直接原因 | Direct cause | {{ fault.cause }}
        根本原因 | Root cause | {{ fault.root_cause }}
        """
    )


def _repair(page: Page) -> None:
    t = page.t
    page.heading(t("6  修复过程", "6  Repair"), 2)
    page.text("{{ fault.process }}")
    page.rows_or_note(
        "timeline",
        """
        3.0 | 时刻 | When | when | centre
        2.7 | 操作 | What | what
        6.2 | 内容与结果 | Content and result | result
        3.2 | 操作人 | By | by
        1.5 | 条目 | Entry | seq | centre
        """,
    )
    page.tag("if runs.rows")
    page.text(t("参与修复的运行", "Runs that belong to it"), "Heading 3", keep=True)
    page.tag("endif")
    page.rows_or_note(
        "runs",
        """
        4.2 | 运行编号 | Run | run
        2.8 | 运行手册 | Runbook | title
        3.2 | 主机 | Hosts | hosts
        3.0 | 开始 | Began | started | centre
        1.9 | 结果 | Outcome | outcome | colour, centre
        1.5 | 条目 | Entry | seq | centre
        """,
    )
    page.tag("if steps.rows")
    page.text(
        t("其中有变更或未成功的步骤", "Steps of theirs that changed something or failed"),
        "Heading 3",
        keep=True,
    )
    page.tag("endif")
    page.rows_or_note(
        "steps",
        """
        3.0 | 时刻 | When | when | centre
        2.4 | 主机 | Host | host
        8.2 | 步骤 | Step | task
        3.0 | 结果 | Result | result | colour, centre
        """,
    )
    page.heading(t("7  采取的措施", "7  Measures"), 2)
    page.rows_or_note(
        "measures",
        """
        1.2 | 序号 | No. | number | centre
        3.0 | 性质 | For | kind | centre
        12.4 | 措施 | Measure | text
        """,
    )
    page.heading(t("8  数据影响", "8  Effect on data"), 2)
    page.text("{{ fault.data_impact }}")
    page.heading(t("9  修复后测试", "9  Tests after the repair"), 2)
    page.rows_or_note(
        "tests",
        """
        1.2 | 序号 | No. | number | centre
        4.2 | 测试项 | Test | name
        3.8 | 预期 | Expected | expected
        3.8 | 实际 | Actual | actual
        2.0 | 测试人 | Tested by | tester | centre
        1.6 | 结论 | Result | result | colour, centre
        """,
    )
    page.heading(t("10  预防、遗留与评价", "10  Prevention, leftovers, satisfaction"), 2)
    page.facts(
        """
        预防措施 | Prevention | {{ fault.prevention }}
        遗留问题 | What is left | {{ fault.leftover }}
        院方评价 | Satisfaction | {{ fault.satisfaction }}
        """
    )


def _proof(page: Page) -> None:
    t = page.t
    page.tag("if attachments.rows")
    page.heading(t("附件", "Attachments"), 2)
    page.tag("endif")
    page.rows_or_note(
        "attachments",
        """
        1.5 | 条目 | Entry | seq | centre
        6.0 | 附件 | Attachment | title
        9.1 | SHA-256 | SHA-256 | sha256
        """,
        "Dense",
    )
    page.heading(t("11  签字", "11  Signatures"), 2)
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("评价：□ 满意   □ 基本满意   □ 不满意", "□ satisfied  □ mostly satisfied  □ not satisfied"),
            t("用户签字：________________________", "User: ____________________"),
            t("信息科：__________________________", "IT department: ____________________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
        [
            t("乙方：{{ cover.vendor }}", "Vendor: {{ cover.vendor }}"),
            t("工程师：__________________________", "Engineer: ____________________"),
            t("复核：____________________________", "Reviewer: ____________________"),
            t("项目经理：________________________", "Manager: ____________________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
    )
    page.heading(t("12  核验", "12  Verification"), 2)
    page.facts(
        """
        故障编号 | Fault | {{ report.id }}
        台账序号 | Entry of the ledger | {{ proof.seq }}
        entry.json (SHA-256) | entry.json (SHA-256) | {{ proof.sha256 }}
        全部相关条目 | All its entries | {{ proof.entries }}
        """
    )
    page.text(
        t(
            "本记录由台账中已签名的条目生成，如有出入，以条目为准。各时刻由乙方工程师签署；条目晚于事件记录的，均已注明。"
            "证件号与手机号按规则遮盖，录入时不写患者姓名。",
            "This record is made from signed entries of the ledger; where it differs, they govern. Times are signed "
            "by the vendor's engineer; an entry that was made later than what it tells says so. Personal numbers are "
            "masked, and no patient is named.",
        ),
        "Note",
    )
    page.text("{{ proof.command }}", "Code")
    page.text("sha256sum -c --strict MANIFEST", "Code")
    page.text("ssh-keygen -Y verify -f {{ proof.signers }} \\", "Code")
    page.text("    -I {{ proof.signer }} -n maintenance-record -s MANIFEST.sig < MANIFEST", "Code")


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
