"""Makes the templates of 《变更工单》: `python -m maintenance.documents.make_change_templates`; see make_templates.py."""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page
from maintenance.documents.make_templates import LANGUAGES, TEMPLATES


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the template in one language."""
    page = Page(language)
    t = page.t
    page.text(t("变 更 工 单", "Change order"), "Cover", centre=True)
    page.text("{{ cover.title }}", "CoverSub", centre=True)
    page.box("{{ conclusion.text }}", "conclusion.colour")
    page.heading(t("1  申请", "1  Request"), 2)
    page.facts(
        """
        工单编号 | Order | {{ request.id }}
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        运行手册 | Runbook | {{ request.runbook }}
        合同条款 | Clauses | {{ request.clauses }}
        目标主机 | Hosts | {{ request.hosts }}
        实施时间窗 | Window | {{ request.window }}
        变更原因 | Reason | {{ request.reason }}
        已告知 | Told | {{ request.notified }}
        变更性质 | Nature | {{ request.nature }}
        回退方法 | Way back | {{ request.undo }}
        参数 | Inputs | {{ request.inputs }}
        关联故障 | Fault | {{ request.case }}
        申请人 | Engineer | {{ request.engineer }}
        """
    )
    page.heading(t("2  预演", "2  Rehearsal"), 2)
    page.text("{{ plan.sentence }}")
    page.rows_or_note(
        "plan",
        """
        1.2 | 序号 | No. | number | centre
        2.4 | 主机 | Host | host
        6.8 | 步骤 | Step | task
        6.2 | 对象 | Subject | subject
        """,
    )
    page.heading(t("3  院方批准", "3  Approval by the hospital"), 2)
    page.text("{{ approvals.sentence }}")
    page.rows_or_note(
        "approvals",
        """
        1.2 | 序号 | No. | number | centre
        5.4 | 批准人 | Approved by | principal
        10.0 | 签名密钥 | Key | key
        """,
    )
    page.heading(t("4  实施结果", "4  What was done"), 2)
    page.tag("if done.there")
    page.facts(
        """
        运行编号 | Run | {{ done.run }}
        开始与结束 | From, to | {{ done.period }}
        实施人 | Engineer | {{ done.engineer }}
        连接方式 | Reached by | {{ done.remote }}
        结果 | Outcome | {{ done.outcome }}
        """
    )
    page.rows_or_note(
        "done.hosts",
        """
        4.6 | 主机 | Host | host
        3.0 | 完成步骤 | Steps | ok | centre
        3.0 | 其中有变更 | Changed | changed | centre
        3.0 | 失败 | Failed | failed | centre
        3.0 | 结论 | Result | result | colour, centre
        """,
    )
    page.rows_or_note(
        "done.changes",
        """
        1.2 | 序号 | No. | number | centre
        2.4 | 主机 | Host | host
        6.8 | 步骤 | Step | task
        6.2 | 对象 | Subject | subject
        """,
    )
    page.tag("if done.left.sentence")
    page.text("{{ done.left.sentence }}")
    page.rows_or_note(
        "done.left",
        """
        2.4 | 主机 | Host | host
        6.2 | 未改的原因 | Why it was left | reason
        8.0 | 检查 | Checks | checks
        """,
    )
    page.tag("endif")
    page.rows_or_note(
        "done.failures",
        """
        2.4 | 主机 | Host | host
        5.2 | 失败的步骤 | Failed step | task
        9.0 | 原因 | Reason | message
        """,
    )
    page.tag("endif")
    page.when("not done.there", "{{ done.sentence }}")
    page.heading(t("5  签字", "5  Signatures"), 2)
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("意见：□ 同意    □ 不同意", "Opinion: □ agreed   □ not agreed"),
            t("信息科：__________________________", "IT department: ____________________"),
            t("使用科室：________________________", "Department: ____________________"),
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
    page.heading(t("6  核验", "6  Verification"), 2)
    page.facts(
        """
        order.json (SHA-256) | order.json (SHA-256) | {{ proof.order }}
        预演摘要 (SHA-256) | Rehearsal (SHA-256) | {{ proof.plan }}
        代码提交 | Commit | {{ proof.commit }}
        台账序号 | Entry of the ledger | {{ proof.seq }}
        record.json (SHA-256) | record.json (SHA-256) | {{ proof.record }}
        """
    )
    page.text(
        t(
            "批准所签的是 order.json 的字节，实施结果以已签名的 record.json 为准；本单由二者生成，如有出入，以二者为准。",
            "Approvals are signatures over the bytes of order.json; the signed record.json governs what was done. "
            "This document is made from both; where it differs, they govern.",
        ),
        "Note",
    )
    page.text(
        "ssh-keygen -Y verify -f allowed_signers -I {{ proof.approver }} -n maintenance-order \\", "Code"
    )
    page.text("    -s {{ proof.signature }} < order.json", "Code")
    page.header_and_footer(
        (t("{{ cover.system }} 变更工单", "{{ cover.system }}: change order"), "{{ request.id }}"),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"change.{language}.docx"
    page.document.save(str(path))
    return path


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
