"""Makes the Word templates: `python -m maintenance.documents.make_templates`.

The templates are committed; engineers may edit them in Word (wording, fonts, widths) as long as the {{ names }}
and the {%p …%} and {%tr …%} tags stay. This script is for a change that Word cannot make well.
"""

from __future__ import annotations

from pathlib import Path

from maintenance.documents.layout import Page

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("zh", "en")
CHAPTERS = (
    ("0  结论摘要", "0  Summary"),
    ("1  巡检范围与依据", "1  Scope and basis"),
    ("2  巡检对象清单", "2  Inventory"),
    ("3  操作系统", "3  Operating systems"),
    ("4  数据库", "4  Databases"),
    ("5  容量与磁盘", "5  Capacity and disks"),
    ("6  备份", "6  Backup"),
    ("7  后台作业", "7  Background jobs"),
    ("8  存储增长预测与扩容建议", "8  Growth forecast and expansion advice"),
    ("9  终端", "9  Terminals"),
    ("10  安全", "10  Security"),
    ("11  上季遗留问题闭环", "11  Problems of the previous inspection"),
    ("12  问题与建议", "12  Problems and advice"),
    ("13  调优与硬件建议", "13  Tuning and hardware advice"),
    ("14  签字确认", "14  Signatures"),
    ("附录", "Appendix"),
)


def make(language: str, folder: Path = TEMPLATES) -> Path:
    """Write the inspection report's template in one language."""
    page = Page(language)
    for part in (
        _cover,
        _summary,
        _scope,
        _inventory,
        _system,
        _database,
        _capacity,
        _backup,
        _jobs,
        _forecast,
    ):
        part(page)
    _terminals(page)
    _security(page)
    page.section(landscape=True)
    _followed(page)
    _problems(page)
    page.section(landscape=False)
    _advice(page)
    _signatures(page)
    _appendix(page)
    t = page.t
    page.header_and_footer(
        (t("{{ cover.system }} 巡检报告", "{{ cover.system }}: inspection report"), "{{ cover.run }}"),
        "{{ cover.parties }}",
        (t("第 ", "Page "), t(" 页 / 共 ", " of "), t(" 页", "")),
    )
    path = folder / f"inspection.{language}.docx"
    page.document.save(str(path))
    return path


def _chapter(page: Page, number: int) -> None:
    page.heading(page.t(*CHAPTERS[number]), 1, f"chapter_{number}")


def _cover(page: Page) -> None:
    for _ in range(5):
        page.text("")
    page.text("{{ cover.system }}", "CoverSub", centre=True)
    page.text(page.t("巡 检 报 告", "Inspection report"), "Cover", centre=True)
    page.text("{{ cover.quarter }}", "CoverSub", centre=True)
    page.text("")
    page.facts(
        """
        甲方（医院） | Hospital | {{ cover.hospital }}
        乙方（维保方） | Vendor | {{ cover.vendor }}
        合同编号 | Contract | {{ cover.contract }}
        报告编号 | Report number | {{ cover.number }}
        巡检名称 | Inspection | {{ cover.title }}
        巡检时间 | Time | {{ cover.period }}
        巡检工程师 | Engineer | {{ cover.engineer }}
        复核 | Reviewer | {{ cover.reviewer }}
        """,
        "CoverCell",
    )
    page.text("")
    page.text(page.t("可验证的来源", "Where it can be verified"), "CoverSmall")
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
        page.t(
            "本报告由已签名的维护记录 record.json 及其附件生成；如有出入，以该记录为准。核验方法见附录 B。",
            "This report is made from the signed record.json and its attachments; where they differ, the record "
            "governs. Appendix B says how to verify it.",
        ),
        "Note",
    )
    page.page_break()
    page.text(page.t("目  录", "Contents"), "CoverSub", centre=True)
    page.contents([(page.t(*title), f"chapter_{number}") for number, title in enumerate(CHAPTERS)])
    page.page_break()


def _summary(page: Page) -> None:
    _chapter(page, 0)
    page.box("{{ summary.conclusion }}", "summary.colour")
    page.numbers(
        """
        检查项 | Checks | summary.total | F2F2F2
        正常 | Pass | summary.passed | E2F0D9
        严重 | Critical | summary.critical | F8CBAD
        警告 | Warning | summary.warning | FFE699
        建议 | Advice | summary.advice | DDEBF7
        未取得 | Not obtained | summary.unknown | E7E6E6
        其他 | Other | summary.other | F2F2F2
        """
    )
    page.text(
        page.t(
            "严重、警告、建议为结论“不符合”或“部分符合”的检查项；未取得为未能读到、因而不作判断的检查项；"
            "其他为已豁免、待人工核查和不适用的检查项。",
            "Critical, warning and advice are checks that failed, wholly or in part. Not obtained are checks whose "
            "value could not be read and that are not judged. Other are waived, manual and inapplicable checks.",
        ),
        "Note",
    )
    page.chart("summary.chart", "图 0-1  各领域检查结果", "Figure 0-1  Results by area")
    page.heading(page.t("三大风险", "Three gravest risks"), 2)
    page.rows_or_note(
        "summary.risks",
        """
        1.0 | 序 | No. | number | centre
        1.5 | 等级 | Level | level | colour, centre
        3.2 | 主机 / 对象 | Host / subject | where
        5.4 | 不符合的检查项：当前值 | Finding | what
        5.5 | 建议 | Advice | advice
        """,
    )
    page.heading(page.t("与上次巡检对比", "Beside the previous inspection"), 2)
    page.text("{{ summary.comparison }}", keep=True)
    page.tag("if summary.compared")
    page.numbers(
        """
        上次遗留 | Left before | summary.compared.before | F2F2F2
        已关闭 | Closed | summary.compared.closed | E2F0D9
        未关闭 | Still open | summary.compared.open | FFE699
        其中逾期 | Overdue | summary.compared.overdue | F8CBAD
        未能复核 | Not looked at | summary.compared.unknown | E7E6E6
        本次新增 | New | summary.compared.new | DDEBF7
        """
    )
    page.tag("endif")
    page.heading(page.t("未取得的内容", "What could not be obtained"), 2)
    page.text("{{ summary.missing }}")


def _scope(page: Page) -> None:
    _chapter(page, 1)
    page.facts(
        """
        依据 | Basis | {{ scope.basis }}
        缘由 | Reason | {{ scope.reason }}
        范围 | Scope | {{ scope.hosts }}
        实际到达 | Reached | {{ scope.reached }}
        执行结果 | Outcome | {{ scope.outcome }}
        对系统的影响 | Effect on the systems | {{ scope.changes }}
        接入方式 | Access | {{ scope.remote }}
        操作机与时钟 | Machine and clock | {{ scope.machine }}
        执行命令 | Command | {{ scope.command }}
        程序版本 | Versions | {{ scope.versions }}
        """
    )
    page.heading(page.t("结论与等级的含义", "What results and levels mean"), 2)
    page.facts(
        """
        正常 | pass | 实测值符合期望值。 | The measured value is what it should be.
        不符合 / 部分符合 | fail / partial | 实测值全部或部分不符合期望值，列入第 12 章。 | It is not; see chapter 12.
        未取得 | not obtained | 未能读到，注明原因；不视为正常。 | It could not be read; never counted as a pass.
        待核查 / 已豁免 | manual / waived | 须由人员核查；或经批准接受的例外。 | For a person to check; or accepted.
        严重 | critical | 可能导致透析业务中断或数据丢失，须立即处理。 | May stop dialysis or lose data: act now.
        警告 | warning | 尚不影响业务，不处理将演变为故障。 | No harm yet, but will become a fault.
        建议 | advice | 可改进项，择机处理。 | An improvement for a suitable time.
        """
    )


def _inventory(page: Page) -> None:
    _chapter(page, 2)
    page.rows_or_note(
        "inventory",
        """
        2.5 | 主机 | Host | host | colour
        2.1 | 角色 | Role | role
        3.4 | 操作系统 | Operating system | os
        3.5 | 处理器 | CPU | cpu
        1.7 | 内存 | Memory | memory
        3.4 | 型号 / 序列号 | Model / serial number | serial
        """,
    )
    page.text(
        page.t(
            "硬件维保到期日不能从主机读取，请甲方在此补充：____________________。",
            "The end of a warranty cannot be read from a host; the hospital may add it here: ____________________.",
        ),
        "Note",
    )


def _checks(page: Page, name: str) -> None:
    """What was judged in one chapter: a sentence with the counts, then what is not as it should be."""
    page.heading(page.t("检查结果", "Results"), 2)
    page.text(f"{{{{ {name}.sentence }}}}", keep=True)
    page.rows_or_note(
        name,
        """
        3.6 | 主机 / 对象 | Host / subject | where
        3.6 | 检查项 | Check | title
        4.4 | 当前值 | Measured | actual
        3.2 | 期望值 | Expected | expected
        1.8 | 结论 | Result | verdict | colour, centre
        """,
    )


def _system(page: Page) -> None:
    _chapter(page, 3)
    page.heading(page.t("运行状态", "State"), 2)
    page.rows_or_note(
        "system",
        """
        2.3 | 主机 | Host | host
        2.7 | 内核 | Kernel | kernel
        1.9 | 已运行 | Up for | uptime
        2.3 | 负载 1/5/15 分 | Load 1/5/15 min | load
        2.3 | 内存使用 | Memory used | memory
        1.8 | 交换区 | Swap used | swap
        3.3 | 时间同步 | Time | time
        """,
    )
    page.heading(page.t("性能均值与峰值", "Performance: mean and peak"), 2)
    page.rows_or_note(
        "performance",
        """
        2.3 | 主机 | Host | host
        2.4 | CPU 均值 / 采样 | CPU mean / sample | cpu
        2.4 | IO 等待 均值 / 采样 | I/O wait mean / sample | wait
        3.8 | 最忙磁盘：采样，读 / 写均时 | Busiest disk: sample, read / write | disk
        3.1 | 受阻 CPU / 内存 / IO | Stalled CPU / memory / I/O | pressure
        2.6 | 占用 CPU 最多的程序 | Top programs | top
        """,
    )
    page.text(
        page.t(
            "均值自主机启动以来，由内核计数；采样为巡检时的一次短采样；受阻为近 5 分钟内有任务等待的时间占比 (PSI)。"
            "峰值须有连续监测数据，单次巡检不能取得。",
            "Means are the kernel's, since the host started; a sample is short, at the time of the inspection; stalled "
            "is the share of the last 5 minutes in which work waited (PSI). Peaks need continuous monitoring.",
        ),
        "Note",
    )
    page.heading(page.t("补丁、错误日志与账户", "Updates, errors in logs, accounts"), 2)
    page.rows_or_note(
        "upkeep",
        """
        2.6 | 主机 | Host | host
        3.6 | 待更新（其中安全更新） | Updates (security) | updates
        3.4 | 失败的服务 | Failed services | units
        3.5 | 日志错误 | Errors in logs | errors
        3.5 | 可登录账户 | Accounts that can log in | accounts
        """,
    )
    _checks(page, "checks.system")


def _database(page: Page) -> None:
    _chapter(page, 4)
    page.when("not databases_here", "{{ no_databases }}")
    page.tag("if databases_here")
    page.heading(page.t("实例", "Instances"), 2)
    page.rows_or_note(
        "instances",
        """
        2.5 | 主机 | Host | host
        2.4 | 版本 | Version | version
        2.0 | 角色 | Role | role
        2.7 | 启动时间 | Started | started
        2.0 | 连接 / 上限 | Connections / limit | connections
        2.0 | 缓存命中 | Cache hits | cache
        3.0 | 归档与复制 | Archive, replication | safety
        """,
    )
    page.heading(page.t("主要参数", "Main parameters"), 2)
    page.rows_or_note(
        "settings",
        """
        5.6 | 参数 | Parameter | name
        3.6 | 当前值 | Value | value
        3.4 | 来源 | Source | source
        4.0 | 服务器 | Server | where
        """,
    )
    page.heading(page.t("最耗时的语句", "Costliest statements"), 2)
    page.rows_or_note(
        "statements",
        """
        3.0 | 主机 / 库 | Host / database | where
        7.2 | 语句 | Statement | query
        1.9 | 次数 | Calls | calls
        2.2 | 平均 (ms) | Mean (ms) | mean
        2.3 | 合计 (s) | Total (s) | total
        """,
        "Dense",
    )
    page.heading(page.t("死元组最多的表", "Tables with most dead rows"), 2)
    page.rows_or_note(
        "dead",
        """
        3.2 | 主机 / 库 | Host / database | where
        5.6 | 表 | Table | table
        2.4 | 死元组 | Dead rows | dead
        2.0 | 占比 | Share | share
        3.4 | 末次清理 | Last vacuum | vacuumed
        """,
    )
    page.tag("endif")
    _checks(page, "checks.database")


def _capacity(page: Page) -> None:
    _chapter(page, 5)
    page.heading(page.t("文件系统", "File systems"), 2)
    page.chart(
        "capacity.filesystems_chart",
        "图 5-1  文件系统使用率（竖线为 80 % 与 90 %）",
        "Figure 5-1  Use of file systems (lines: 80 % and 90 %)",
    )
    page.rows_or_note(
        "filesystems",
        """
        2.8 | 主机 | Host | host
        4.6 | 挂载点 | Mount | mount
        1.8 | 类型 | Type | type
        1.9 | 容量 | Size | size
        1.9 | 已用 | Used | used
        1.8 | 使用率 | Use | percent | colour
        1.8 | inode | inodes | inodes
        """,
    )
    page.heading(page.t("数据库与表空间", "Databases and tablespaces"), 2)
    page.when("not databases_here", "{{ no_databases }}", "Note")
    page.tag("if databases_here")
    page.chart("capacity.databases_chart", "图 5-2  数据库大小", "Figure 5-2  Size of databases")
    page.rows_or_note(
        "databases",
        """
        4.2 | 主机 | Host | host
        6.0 | 数据库 / 表空间 | Database / tablespace | name
        3.2 | 类别 | Kind | kind
        3.2 | 大小 | Size | size
        """,
    )
    page.heading(page.t("最大的 20 张表", "Twenty largest tables"), 2)
    page.rows_or_note(
        "tables",
        """
        1.0 | 序 | No. | number | centre
        4.0 | 主机 / 库 | Host / database | where
        6.6 | 表 | Table | table
        2.5 | 大小（含索引） | Size with indexes | size
        2.5 | 行数（估计） | Rows (estimate) | count
        """,
    )
    page.tag("endif")
    page.heading(page.t("物理磁盘", "Physical disks"), 2)
    page.rows_or_note(
        "disks",
        """
        2.8 | 主机 | Host | host
        2.4 | 设备 | Device | device
        4.8 | 型号 / 序列号 | Model / serial number | model
        2.4 | 容量 | Size | size
        4.2 | 健康状态 (SMART) | Health (SMART) | health
        """,
    )
    _checks(page, "checks.storage")


def _backup(page: Page) -> None:
    _chapter(page, 6)
    page.rows_or_note(
        "backups",
        """
        2.6 | 主机 | Host | host
        4.2 | 备份 | Backup | name
        3.2 | 末次成功 | Last success | last
        2.4 | 大小 | Size | size
        4.2 | 保留与说明 | Retention, remarks | remark
        """,
    )
    page.text(
        page.t(
            "备份存在不等于可以恢复：可用性由恢复演练证明，见《恢复演练报告》（合同 3.2.2，每年两次）。",
            "That a backup exists does not prove that it can be restored: drills do (contract 3.2.2, twice a year).",
        ),
        "Note",
    )
    _checks(page, "checks.backup")


def _jobs(page: Page) -> None:
    _chapter(page, 7)
    page.rows_or_note(
        "jobs",
        """
        2.6 | 主机 | Host | host
        4.8 | 作业 | Job | name
        2.4 | 类别 | Kind | kind
        3.4 | 计划 / 下次 | Schedule / next | schedule
        3.4 | 末次执行与结果 | Last run and result | last
        """,
    )
    _checks(page, "checks.jobs")


def _forecast(page: Page) -> None:
    _chapter(page, 8)
    page.text("{{ forecast.method }}")
    page.chart(
        "forecast.chart",
        "图 8-1  容量趋势（点为实测，线为趋势，带为 95 % 区间，虚线为上限，点线为上限的 80 %）",
        "Figure 8-1  Trends (points measured, line trend, band 95 % interval, dashed limit, dotted 80 % of it)",
    )
    page.rows_or_note(
        "forecast",
        """
        3.7 | 主机 / 对象 | Host / subject | where
        2.5 | 现值 / 上限 | Now / limit | now
        3.2 | 日增长 [95 % 区间] | Growth a day [95 %] | growth
        1.8 | 达 80 % | 80 % | d80 | c80
        1.8 | 达 90 % | 90 % | d90 | c90
        1.8 | 达 100 % | 100 % | d100 | c100
        1.8 | 依据 | Basis | basis
        """,
        "Dense",
    )
    page.heading(page.t("扩容建议", "Expansion advice"), 2)
    page.rows_or_note(
        "expansion",
        """
        5.2 | 主机 / 对象 | Host / subject | where
        3.4 | 建议增加容量 | Add | add
        3.4 | 最迟时点 | By | by
        4.6 | 依据 | Why | why
        """,
    )


def _terminals(page: Page) -> None:
    _chapter(page, 9)
    page.text("{{ terminals }}")


def _security(page: Page) -> None:
    _chapter(page, 10)
    page.heading(page.t("对外监听的端口", "Listening ports"), 2)
    page.rows_or_note(
        "ports",
        """
        3.6 | 主机 | Host | host
        9.0 | 地址与端口 | Addresses and ports | ports
        4.0 | 程序 | Programs | programs
        """,
    )
    _checks(page, "checks.security")
    page.text(
        page.t(
            "本章为季度巡检中的安全检查项；等级保护三级的逐项核查见《等保整改报告》。",
            "These are the security checks of a quarterly inspection; MLPS level 3 has an assessment of its own.",
        ),
        "Note",
    )


def _followed(page: Page) -> None:
    _chapter(page, 11)
    page.text("{{ followed.sentence }}", keep=True)
    page.rows_or_note(
        "followed",
        """
        1.0 | 序 | No. | number | centre
        4.2 | 主机 / 对象 | Host / subject | where
        5.6 | 问题 | Problem | title
        1.4 | 等级 | Level | level | colour, centre
        1.7 | 责任方 | Owner | owner | centre
        2.1 | 首次发现 | First seen | first | centre
        2.1 | 期限 | Due | due | centre
        2.2 | 状态 | State | state | state_colour, centre
        5.0 | 建议 | Advice | advice
        """,
    )


def _problems(page: Page) -> None:
    _chapter(page, 12)
    page.text("{{ problems.sentence }}", keep=True)
    page.rows_or_note(
        "problems",
        """
        1.2 | 编号 | No. | number | centre
        4.9 | 不符合的检查项（当前值） | Finding (measured) | what
        3.0 | 期望 | Expected | expected
        1.4 | 等级 | Level | level | colour, centre
        4.0 | 证据 | Evidence | evidence
        5.4 | 建议 | Advice | advice
        1.7 | 责任方 | Owner | owner | centre
        2.1 | 期限 | Due | due | centre
        1.6 | 是否停机 | Downtime | stop
        """,
    )
    page.heading(page.t("未取得的检查项", "Checks that could not be obtained"), 2)
    page.rows_or_note(
        "unknown",
        """
        5.0 | 主机 / 对象 | Host / subject | where
        9.0 | 未取得的原因 | Why | why
        7.3 | 检查项 | Checks | title
        4.0 | 规则 | Rules | rules
        """,
    )


def _advice(page: Page) -> None:
    _chapter(page, 13)
    columns = """
        4.4 | 主机 / 对象 | Host / subject | where
        5.6 | 不符合的检查项：当前值 | Finding | what
        6.6 | 建议 | Advice | advice
        """
    page.heading(page.t("性能与参数调优", "Tuning"), 2)
    page.rows_or_note("tuning", columns)
    page.heading(page.t("硬件与扩容", "Hardware and expansion"), 2)
    page.rows_or_note("hardware", columns)


def _signatures(page: Page) -> None:
    t = page.t
    _chapter(page, 14)
    page.text(
        t(
            "甲乙双方对本次巡检的过程、结论及第 12 章所列问题与期限确认如下：",
            "Both parties confirm the inspection, its results, and the problems and dates of chapter 12:",
        ),
        keep=True,
    )
    page.signatures(
        [
            t("甲方：{{ cover.hospital }}", "Hospital: {{ cover.hospital }}"),
            t("意见：□ 确认    □ 有异议", "Opinion: □ confirmed   □ objections"),
            t("异议说明：________________________", "Objections: ____________________"),
            "__________________________________",
            t("信息科负责人：____________________", "Head of IT: ____________________"),
            t("使用科室：{{ cover.department }}", "Department: {{ cover.department }}"),
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
        [
            t("乙方：{{ cover.vendor }}", "Vendor: {{ cover.vendor }}"),
            t("巡检工程师：{{ cover.engineer }}", "Engineer: {{ cover.engineer }}"),
            t("签字：__________________________", "Signature: ____________________"),
            t(
                "复核：{{ cover.reviewer }}  签字：____________",
                "Reviewer: {{ cover.reviewer }}  ____________",
            ),
            t(
                "项目经理：{{ cover.manager }}  签字：____________",
                "Manager: {{ cover.manager }}  ____________",
            ),
            "",
            t("（盖章）", "(stamp)"),
            t("日期：______ 年 ____ 月 ____ 日", "Date: ____________________"),
        ],
    )


def _appendix(page: Page) -> None:
    page.page_break()
    _chapter(page, 15)
    page.heading(page.t("附录 A  在主机上执行过的命令", "Appendix A  Commands that were run on the hosts"), 2)
    page.text("{{ commands.sentence }}")
    page.tag("for group in commands.groups")
    page.text("{{ group.hosts }}", "CellHead", keep=True)
    page.tag("for line in group.lines")
    page.text("{{ line }}", "Code")
    page.tag("endfor")
    page.text("", "Gap")
    page.tag("endfor")
    page.when("commands.note", "{{ commands.note }}", "Note")
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
    page.heading(page.t("附录 C  全部检查项", "Appendix C  All checks"), 2)
    page.text("{{ everything.sentence }}")
    page.rows_or_note(
        "everything",
        """
        2.6 | 主机 | Host | host
        2.6 | 规则 | Rule | id
        4.4 | 检查项 / 对象 | Check / subject | title
        5.2 | 当前值 | Measured | actual
        1.8 | 结论 | Result | verdict | colour, centre
        """,
        "Dense",
    )
    page.rows_or_note(
        "compact",
        """
        3.0 | 主机 | Host | host
        13.6 | 各结论的规则 | Rules by result | rules
        """,
        "Dense",
    )


if __name__ == "__main__":
    for made in map(make, LANGUAGES):
        print(made)
