"""Makes the templates of 《恢复演练报告》: `python -m maintenance.documents.make_drill_templates`."""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page
from maintenance.documents.make_templates import LANGUAGES, TEMPLATES

_PROOF = """
    2.3 | 校验 | Check | id
    3.7 | 内容 | What is proven | title
    2.2 | 要求 | Wanted | expected
    6.5 | 实测 | Measured | actual
    1.9 | 结果 | Result | result | colour, centre
"""


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the template in one language."""
    page = Page(language)
    t = page.t
    page.text(t("恢 复 演 练 报 告", "Report of a restore drill"), "Cover", centre=True)
    page.text("{{ cover.system }}", "CoverSub", centre=True)
    page.box(t("结论：{{ summary.conclusion }}", "{{ summary.conclusion }}"), "summary.colour")
    page.numbers(
        """
        恢复用时 RTO | Time to recover | summary.rto | E2F0D9
        数据丢失 RPO | Loss | summary.rpo | E2F0D9
        丢失事务 | Transactions | summary.transactions | F2F2F2
        通过 | Passed | summary.passed | E2F0D9
        未证明或偏差 | Open | summary.open | E7E6E6
        未通过 | Failed | summary.failed | F8CBAD
        """
    )
    for part in (_scope, _phases, _loss, _proofs, _untouched, _wiped, _deviations, _signatures, _verify):
        part(page)
    page.header_and_footer(
        (
            t("{{ cover.system }} 恢复演练报告", "{{ cover.system }}: restore drill"),
            "{{ cover.number }}",
        ),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"drill.{language}.docx"
    page.document.save(str(path))
    return path


def _scope(page: Page) -> None:
    page.heading(page.t("1  演练概况", "1  Overview"), 2)
    page.facts(
        """
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        对应条款 | Clauses | {{ scope.clauses }}
        报告编号 | Report number | {{ cover.number }}
        演练时间 | Time | {{ cover.period }}
        演练人 | Engineer | {{ cover.engineer }}
        甲方参加人 | Present for the hospital | ____________ | ____________
        演练目的 | Purpose | {{ scope.reason }}
        演练主机 | Host | {{ scope.host }}
        演练环境 | The copy | 隔离副本，非生产：无网络、不归档、仅本机账户 | isolated: no network, no archive
        恢复目标 | Target | {{ scope.target }}
        到达位置与最后提交 | Reached, last commit | {{ scope.reached }}
        所用备份与日志 | Backup and WAL | {{ scope.source }}
        执行命令 | Command | {{ scope.command }}
        """
    )


def _phases(page: Page) -> None:
    page.page_break()
    page.heading(page.t("2  恢复用时（RTO）", "2  Time to recover (RTO)"), 2)
    page.rows_or_note(
        "phases",
        """
        1.2 | 序号 | No. | number | centre
        8.6 | 阶段 | Phase | phase
        3.4 | 实测 | Measured | seconds | colour, centre
        3.4 | RTO | RTO | counts | centre
        """,
    )
    page.text(
        page.t(
            "要求：{{ rto.demand }}；结果：{{ rto.result }}。真正的重建另含隔离故障服务器与切换应用的时间。",
            "Wanted: {{ rto.demand }}; {{ rto.result }}. A real rebuild also fences the failed server and re-points the"
            " application.",
        )
    )


def _loss(page: Page) -> None:
    page.heading(page.t("3  数据丢失（RPO）", "3  Loss (RPO)"), 2)
    page.text(
        page.t(
            "演练开始的一刻若生产库损毁，已提交而尚未归档、将会丢失的：{{ rpo.actual }}。"
            "要求：{{ rpo.demand }}；结果：{{ rpo.result }}。",
            "Had production been lost as the drill began, this was committed and not archived yet: {{ rpo.actual }}."
            " Wanted: {{ rpo.demand }}; {{ rpo.result }}.",
        )
    )


def _proofs(page: Page) -> None:
    page.heading(page.t("4  校验", "4  Proofs"), 2)
    page.rows_or_note("proofs", _PROOF)


def _untouched(page: Page) -> None:
    page.heading(page.t("5  生产系统与备份仓库未受影响", "5  Production and its repository"), 2)
    page.rows_or_note("untouched", _PROOF)


def _wiped(page: Page) -> None:
    page.heading(page.t("6  演练数据销毁", "6  The copy's end"), 2)
    page.rows_or_note("wiped", _PROOF)


def _deviations(page: Page) -> None:
    page.heading(page.t("7  偏差与改进", "7  Deviations"), 2)
    page.rows_or_note(
        "deviations",
        """
        1.1 | 序号 | No. | number | centre
        3.6 | 项目 | Item | title
        1.8 | 结果 | Result | result | colour, centre
        4.6 | 情况 | What was found | actual
        3.6 | 改进建议 | Advice | advice
        1.9 | 责任人与期限 | Who, until when | due
        """,
    )


def _signatures(page: Page) -> None:
    t = page.t
    page.heading(t("8  签字确认", "8  Signatures"), 2)
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("结论：□ 合格  □ 部分合格  □ 不合格", "Result: □ passed  □ in part  □ not passed"),
            t("信息科：__________________________", "IT department: ____________________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
        [
            t("乙方：{{ cover.vendor }}", "Vendor: {{ cover.vendor }}"),
            t("演练人：{{ cover.engineer }}", "Engineer: {{ cover.engineer }}"),
            t(
                "复核：{{ cover.reviewer }}  签字：____________",
                "Reviewer: {{ cover.reviewer }}  ____________",
            ),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
    )


def _verify(page: Page) -> None:
    page.heading(page.t("9  核验", "9  Verification"), 2)
    page.facts(
        """
        台账序号 | Entry of the ledger | {{ cover.seq }}
        运行编号 | Run | {{ cover.run }}
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


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
