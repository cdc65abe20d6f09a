"""Makes the templates of 《等保三级自评估报告》: `python -m maintenance.documents.make_assessment_templates`; see
make_templates.py.
"""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page
from maintenance.documents.make_templates import LANGUAGES, TEMPLATES

CHAPTERS = (
    ("0  结论摘要", "0  Summary"),
    ("1  重大风险隐患候选", "1  Candidates of grave dangers"),
    ("2  评估范围与方法", "2  Scope and method"),
    ("3  分章汇总", "3  Summary by chapter"),
    ("4  逐项结论", "4  Item by item"),
    ("5  未符合的检查与整改建议", "5  Checks that are no pass, and advice"),
    ("6  豁免", "6  Waivers"),
    ("7  需人工出示的材料", "7  What people have to show"),
    ("8  整改前后对比", "8  Before and after"),
    ("9  签字确认", "9  Signatures"),
    ("附录", "Appendix"),
)
_FAILING_END = """        1.9 | 结论 / 级别 | Verdict / grade | verdict | colour, centre
        6.8 | 整改建议 | Advice | advice
        1.7 | 操作风险 / 自动整改 | Risk / harden | remedy | centre
"""


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the template in one language."""
    page = Page(language)
    for part in (_cover, _summary, _dangers, _method, _by_chapter):
        part(page)
    page.section(landscape=True)
    _items(page)
    _failing(page)
    page.section(landscape=False)
    for part in (_waivers, _todo, _changes, _signatures, _appendix):
        part(page)
    t = page.t
    page.header_and_footer(
        (
            t("{{ cover.system }} 等保三级自评估报告", "{{ cover.system }}: self-assessment, MLPS level 3"),
            t("自评估，非测评结论", "Self-assessment only"),
        ),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"assessment.{language}.docx"
    page.document.save(str(path))
    return path


def _chapter(page: Page, number: int) -> None:
    page.heading(page.t(*CHAPTERS[number]), 1, f"chapter_{number}")


def _cover(page: Page) -> None:
    t = page.t
    for _ in range(4):
        page.text("")
    page.text("{{ cover.system }}", "CoverSub", centre=True)
    page.text(t("等保三级自评估报告", "Self-assessment, MLPS level 3"), "Cover", centre=True)
    page.tag("if cover.after")
    page.text("{{ cover.after }}", "CoverSub", centre=True)
    page.tag("endif")
    page.box(
        t(
            "自评估，非测评结论：本报告供院方自查和整改使用，不代替等级测评，不得作为测评报告使用。",
            "Self-assessment, not the conclusion of an assessor: for the hospital's own use and remedies; it stands in "
            "for no official assessment.",
        ),
        "'FFF2CC'",
    )
    page.facts(
        """
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        报告编号 | Report number | {{ cover.number }}
        评估依据 | Standard | {{ cover.standard }}
        安全保护等级 | Level | 第三级（以备案证明为准） | three (as filed)
        评估时间 | Time | {{ cover.period }}
        评估工程师 | Engineer | {{ cover.engineer }}
        复核 | Reviewer | {{ cover.reviewer }}
        """,
        "CoverCell",
    )
    page.text("")
    page.text(t("可验证的来源", "Where it can be verified"), "CoverSmall")
    page.facts(
        """
        运行编号 | Run | {{ cover.run }}
        台账序号 | Entry of the ledger | {{ cover.seq }}
        记录指纹 (SHA-256) | Record (SHA-256) | {{ cover.record_sha256 }}
        上一条目指纹 (SHA-256) | Entry before (SHA-256) | {{ cover.previous_sha256 }}
        签名人 | Signer | {{ cover.signer }}
        """
    )
    page.text(
        t(
            "本报告由已签名的维护记录 record.json 生成；如有出入，以该记录为准。核验方法见附录 B。"
            "同名 xlsx 文件含全部明细。",
            "This report is made from the signed record.json; where they differ, the record governs. Appendix B says how "
            "to verify it. The xlsx file of the same name holds every detail.",
        ),
        "Note",
    )
    page.page_break()
    page.text(t("目  录", "Contents"), "CoverSub", centre=True)
    page.contents([(t(*title), f"chapter_{number}") for number, title in enumerate(CHAPTERS)])
    page.page_break()


def _summary(page: Page) -> None:
    t = page.t
    _chapter(page, 0)
    page.box("{{ summary.conclusion }}", "summary.colour")
    page.numbers(
        """
        测评项 | Items | summary.total | F2F2F2
        符合 | Pass | summary.passed | E2F0D9
        部分符合 | Partial | summary.partial | FFE699
        不符合 | Fail | summary.fail | F8CBAD
        不适用 | N/A | summary.not_applicable | F2F2F2
        需人工 | Manual | summary.manual | DDEBF7
        未知 | Unknown | summary.unknown | E7E6E6
        """
    )
    page.numbers(
        """
        重大隐患候选 | Grave dangers | summary.dangers | F8CBAD
        主机 | Hosts | summary.hosts | F2F2F2
        检查结果 | Results of checks | summary.checks | F2F2F2
        其中未符合 | Not passed | summary.failing | FFE699
        豁免 | Waivers | summary.waivers | F2F2F2
        其中过期 | Expired | summary.expired | F8CBAD
        """
    )
    page.facts(
        """
        符合率区间 | Ratio of compliance | {{ summary.ratio }}
        未决部分 | What is open | {{ summary.open }}
        """
    )
    page.when("summary.score", "{{ summary.score }}", "Note")
    page.chart(
        "summary.chart",
        "图 0-1  各章测评项的结论",
        "Figure 0-1  Verdicts of the items of each chapter",
    )
    page.text(
        t(
            "符合率是区间而非单一数值：未决的项全部判为不符合时取下限，全部判为符合时取上限。",
            "The ratio is an interval: its low end is what holds if everything open fails, its high end if it passes.",
        ),
        "Note",
    )


def _dangers(page: Page) -> None:
    _chapter(page, 1)
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


def _method(page: Page) -> None:
    t = page.t
    _chapter(page, 2)
    page.heading(t("2.1  范围", "2.1  Scope"), 2)
    page.facts(
        """
        评估依据 | Standard | {{ cover.standard }}
        评估缘由 | Reason | {{ scope.reason }}
        评估对象 | Hosts | {{ scope.hosts }}
        已到达 | Reached | {{ scope.reached }}
        检查 | Checks | {{ method.checks }}
        运行结果 | Outcome | {{ scope.outcome }}
        对主机的改变 | Changes on hosts | {{ scope.changes }}
        连接方式 | Reached by | {{ scope.remote }}
        控制机与时钟 | Controller and clock | {{ scope.machine }}
        版本 | Versions | {{ scope.versions }}
        """
    )
    page.heading(t("2.2  如何判断", "2.2  How it is judged"), 2)
    for zh, en in _HOW:
        page.text(t(zh, en))
    page.facts(
        """
        符合率区间 | Ratio of compliance | {{ method.ratio }}
        计算方法 | How it is computed | {{ method.formula }}
        未决部分 | What is open | {{ summary.open }}
        """
    )
    page.heading(t("2.3  整改操作风险", "2.3  Risk of a remedy"), 2)
    page.facts(_RISKS)


_RISKS = """
        R0 | R0 | 不影响正在运行的系统 | nothing that runs is touched
        R1 | R1 | 只影响新会话，或只需重新加载配置 | new sessions only, or a reload
        R2 | R2 | 需重启服务，或可能影响某一项功能 | a restart of a service, or one function may be hit
        R3 | R3 | 可能中断访问或影响透析业务：只在停机窗口内、先单台、带自动回退地实施 | access or treatment may be cut off: in a window, one host first, with a way back
"""  # noqa: E501  (a line is a row)


_HOW = (
    (
        "逐项：共 211 项，每项按对象（主机，或主机上的数据库）给出结论。一项的全部检查均符合为“符合”，"
        "全部不符合为“不符合”，其余有偏差的为“部分符合”；已豁免的偏差至多计为“部分符合”，过期的豁免不起作用。",
        "Item by item: 211 items, each judged for its objects (a host, or a database on it). All checks pass: pass; all "
        "fail: fail; any other deviation: partial. A waived deviation is partial at best; an expired waiver counts for "
        "nothing.",
    ),
    (
        "检查依据主机和数据库的实际生效状态（运行中的配置），而非仅凭配置文件内容。",
        "Checks look at the state that is in effect, not only at what a file says.",
    ),
    (
        "台账证据：少数项只由台账证明（如巡检、变更审批）。目录要求的已签名条目齐全、有效且未超过有效天数的为“符合”，"
        "否则为“需人工”。其他项旁列出的台账条目仅供引用，不改变结论。",
        "Ledger: a few items are shown by the ledger alone (inspections, approvals of changes). They pass where every "
        "signed entry that the catalogue asks for is there, verified and not too old; otherwise people judge them. "
        "Entries beside other items are for reference and change no verdict.",
    ),
    (
        "需人工：程序不能判断或只能判断一部分的项，由院方出示材料、由人判断。未知：主机未到达或数据未取得。"
        "需人工和未知均不计为符合。",
        "Manual: what no program can judge, or only in part; people show papers and judge. Unknown: a host was not "
        "reached or a value not obtained. Neither counts as a pass.",
    ),
)


def _by_chapter(page: Page) -> None:
    _chapter(page, 3)
    page.table(
        "r in chapters.rows",
        """
        1.6 | 章节 | Chapter | chapter | centre
        4.0 | 名称 | Name | name
        1.4 | 项数 | Items | n | centre
        1.6 | 符合 | Pass | pass | centre
        1.6 | 部分符合 | Partial | partial | centre
        1.6 | 不符合 | Fail | fail | centre
        1.6 | 不适用 | N/A | not_applicable | centre
        1.6 | 需人工 | Manual | manual | centre
        1.6 | 未知 | Unknown | unknown | centre
        """,
    )


def _items(page: Page) -> None:
    t = page.t
    _chapter(page, 4)
    page.text(
        t(
            "测评项为本项目自拟的简述，原文以 GB/T 22239-2019 和 GB/T 28448-2019 为准。“需出示 / 说明”"
            "为需由人出示的材料，或不适用的理由。",
            "Items are paraphrased; GB/T 22239-2019 and GB/T 28448-2019 govern. The last column says what people have to "
            "show, or why an item does not apply.",
        ),
        "Note",
    )
    page.tag("for chapter in items")
    page.heading("{{ chapter.title }}", 2)
    page.text("{{ chapter.sentence }}", keep=True)
    page.table(
        "r in chapter.rows",
        """
        2.1 | 测评单元 | Unit | unit
        1.7 | 条款 | Clause | clause
        5.0 | 测评项 | Item | title
        1.4 | 结论 | Verdict | verdict | colour, centre
        4.6 | 对象 | Objects | objects
        5.8 | 检查与台账证据 | Checks, entries of the ledger | evidence
        4.7 | 需出示 / 说明 | To be shown, or why | wanted
        """,
        "Dense",
    )
    page.tag("endfor")


def _failing(page: Page) -> None:
    t = page.t
    _chapter(page, 5)
    page.text("{{ failing.sentence }}")
    page.tag("if failing.there")
    page.text(
        t(
            "“操作风险”为实施整改的风险（见 2.3）；“自动整改”为运行手册 harden 是否有相应措施，无者须人工整改。",
            "Risk is that of the remedy (2.3); harden says whether that runbook has a remedy; where it has none, people "
            "do it.",
        ),
        "Note",
    )
    page.heading(t("5.1  各主机的未符合数", "5.1  By host"), 2)
    page.rows_or_note(
        "failing.counts",
        """
        6.5 | 主机 | Host | host
        2.2 | 未符合 | Not passed | n | centre
        2.2 | 不符合 | Fail | fail | centre
        2.2 | 部分符合 | Partial | partial | centre
        2.2 | 已豁免 | Waived | waived | centre
        2.2 | 未知 | Unknown | unknown | centre
        2.6 | 其中高级别 | High grade | grave | colour, centre
        2.6 | 可自动整改 | harden | fixable | centre
        2.6 | 列于 5.3 | In 5.3 | own | centre
        """,
    )
    page.heading(t("5.2  多台主机相同的结果", "5.2  Alike on several hosts"), 2)
    page.rows_or_note("failing.shared", _FAILING_SHARED + _FAILING_END, "Dense")
    page.heading(t("5.3  逐台主机的结果", "5.3  Host by host"), 2)
    page.tag("for host in failing.hosts")
    page.heading("{{ host.title }}", 3)
    page.table("r in host.rows", _FAILING_OWN + _FAILING_END, "Dense")
    page.tag("endfor")
    page.when("failing.note", "{{ failing.note }}", "Note")
    page.heading(t("5.4  未知的检查，按原因", "5.4  What could not be obtained, by reason"), 2)
    page.rows_or_note(
        "failing.unknown",
        """
        4.0 | 主机 / 对象 | Where | where
        6.3 | 原因 | Reason | why
        9.0 | 检查项 | Checks | title
        6.0 | 检查编号 | Check | rules
        """,
        "Dense",
    )
    page.tag("endif")


_FAILING_SHARED = """
        2.1 | 检查 / 条款 | Check / clause | id
        3.7 | 检查项 / 对象 | What is checked | title
        2.3 | 主机 | Hosts | hosts
        2.8 | 要求 | Expected | expected
        4.0 | 实测 | Measured | actual
"""
_FAILING_OWN = """
        2.1 | 检查 / 条款 | Check / clause | id
        4.1 | 检查项 / 对象 | What is checked | title
        3.1 | 要求 | Expected | expected
        5.5 | 实测 | Measured | actual
"""


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


def _todo(page: Page) -> None:
    _chapter(page, 7)
    page.text("{{ todo.sentence }}")
    page.rows_or_note(
        "todo",
        """
        0.9 | 序号 | No. | number | centre
        2.0 | 单元 / 条款 | Unit / clause | unit
        4.0 | 测评项 | Item | title
        1.3 | 结论 | Verdict | verdict | colour, centre
        4.4 | 需出示的材料 | To be shown | wanted
        1.4 | 责任人 | Who | who
        1.6 | 完成日期 | Until | due
        1.0 | 已备 | Done | done | centre
        """,
        "Dense",
    )


def _changes(page: Page) -> None:
    t = page.t
    _chapter(page, 8)
    page.text("{{ changes.sentence }}")
    page.tag("if changes.there")
    page.heading(t("8.1  各结论的项数", "8.1  Counts"), 2)
    page.table(
        "r in changes.counts.rows",
        """
        4.6 | 结论 | Verdict | verdict | colour, centre
        4.0 | 整改前 | Before | before | centre
        4.0 | 整改后 | After | after | centre
        4.0 | 增减 | Difference | difference | centre
        """,
    )
    page.heading(t("8.2  结论有变化的测评项", "8.2  Items that changed"), 2)
    page.when("changes.units.sentence", "{{ changes.units.sentence }}")
    page.rows_or_note(
        "changes.units",
        """
        2.1 | 单元 / 条款 | Unit / clause | unit
        4.6 | 测评项 | Item | title
        1.5 | 整改前 | Before | before | before_colour, centre
        1.5 | 整改后 | After | after | after_colour, centre
        2.2 | 变化 | Change | change | colour, centre
        4.7 | 检查级变化 | Checks | detail
        """,
        "Dense",
    )
    page.tag("endif")


def _signatures(page: Page) -> None:
    t = page.t
    _chapter(page, 9)
    page.text(
        t(
            "甲乙双方对本次自评估的过程、结果，以及第 5 章的整改建议和第 7 章的待办清单确认如下：",
            "Both parties confirm the assessment, the advice of chapter 5 and the list of chapter 7:",
        ),
        keep=True,
    )
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("意见：□ 确认    □ 有异议", "Opinion: □ confirmed   □ objections"),
            t("异议说明：________________________", "Objections: ____________________"),
            t("信息科负责人：____________________", "Head of IT: ____________________"),
            t("安全管理员：______________________", "Security officer: ______________"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
        [
            t("乙方：{{ cover.vendor }}", "Vendor: {{ cover.vendor }}"),
            t("评估工程师：{{ cover.engineer }}", "Engineer: {{ cover.engineer }}"),
            t("签字：__________________________", "Signature: ____________________"),
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


def _appendix(page: Page) -> None:
    page.page_break()
    _chapter(page, 10)
    page.heading(page.t("附录 A  在主机上执行过的命令", "Appendix A  Commands that were run on the hosts"), 2)
    page.text("{{ commands }}")
    page.heading(page.t("附录 B  指纹与核验", "Appendix B  Fingerprints and verification"), 2)
    page.rows_or_note(
        "fingerprints",
        """
        5.0 | 文件或来源 | File or source | name
        2.2 | 字节 | Bytes | bytes
        9.4 | SHA-256 | SHA-256 | sha256
        """,
        "Dense",
    )
    page.text("{{ verification }}")
    page.text("sha256sum -c --strict MANIFEST", "Code")
    page.text(
        "ssh-keygen -Y verify -f allowed_signers -I {{ cover.principal }} -n maintenance-record "
        "-s MANIFEST.sig < MANIFEST",
        "Code",
    )


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
