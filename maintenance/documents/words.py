"""What is put into the templates, in both languages. What never changes is in the templates themselves."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]

_WORDS: dict[str, tuple[str, str]] = {
    # verdicts
    "pass": ("正常", "pass"),
    "partial": ("部分符合", "partial"),
    "fail": ("不符合", "fail"),
    "waived": ("已豁免", "waived"),
    "manual": ("待核查", "manual"),
    "not_applicable": ("不适用", "not applicable"),
    "unknown": ("未取得", "not obtained"),
    "other": ("其他", "other"),
    # severities
    "critical": ("严重", "critical"),
    "warning": ("警告", "warning"),
    "advice": ("建议", "advice"),
    # owners
    "vendor": ("乙方", "vendor"),
    "hospital": ("甲方", "hospital"),
    # areas
    "system": ("系统参数与性能", "System and performance"),
    "storage": ("容量与磁盘", "Capacity and disks"),
    "network": ("网络", "Network"),
    "services": ("服务", "Services"),
    "jobs": ("后台作业", "Background jobs"),
    "security": ("安全", "Security"),
    "database": ("数据库", "Database"),
    "backup": ("备份", "Backup"),
    "time": ("时间同步", "Time"),
    # states of problems
    "new": ("本次新增", "new"),
    "open": ("未关闭", "open"),
    "closed": ("已关闭", "closed"),
    "overdue": ("逾期未关闭", "open, overdue"),
    "not_looked_at": ("未能复核", "not looked at"),
    "not_looked_at_overdue": ("未能复核（逾期）", "not looked at, overdue"),
    # outcomes
    "succeeded": ("完成", "succeeded"),
    "failed": ("执行失败", "failed"),
    "unreachable": ("有主机未能到达", "hosts were not reached"),
    "cancelled": ("被中止", "cancelled"),
    "incomplete": ("未完整执行", "incomplete"),
    "refused": ("被拒绝执行", "refused"),
    # what a runbook changes
    "nothing": ("只读，不改变任何被检对象", "read only, nothing was changed"),
    "reversible": ("有改变，可撤回", "changes that can be undone"),
    "irreversible": ("有改变，不可撤回", "changes that cannot be undone"),
    # punctuation and small words
    "colon": ("：", ": "),
    "comma": ("，", ", "),
    "list": ("、", ", "),
    "semicolon": ("；", "; "),
    "join": ("", " "),
    "none": ("无", "none"),
    "to_agree": ("双方商定", "to be agreed"),
    "rule": ("规则 {id}", "rule {id}"),
    "clause": ("合同 {clause}", "contract {clause}"),
    "downtime": ("□是\n□否", "□ yes\n□ no"),
    "quarter": ("{year} 年第{quarter}季度", "Q{quarter} {year}"),
    "report": ("巡检报告", "inspection report"),
    "signer": ("{name}（{key}）", "{name} ({key})"),
    "self_issued": ("，密钥由本程序自行签发", ", self-issued key"),
    "hosts_more": ("{hosts} 等 {n} 台主机", "{hosts} … ({n} in all)"),
    # what is missing
    "not_obtained": ("未取得（{reason}）", "not obtained ({reason})"),
    "not_obtained_short": ("未取得", "not obtained"),
    "no_reason": ("本次未采集", "it was not collected"),
    "no_snapshot": ("没有该主机的快照", "there is no snapshot of it"),
    "host_not_reached": ("主机未能到达", "the host was not reached"),
    "never": ("无", "never"),
    "not_known": ("无记录", "not known"),
    "days": ("{n} 天", "{n} days"),
    "hours": ("{n} 小时", "{n} hours"),
    "cores": ("{n} 线程", "{n} threads"),
    "serial": ("序列号", "serial number"),
    "empty": ("（空）", "(empty)"),
    "no_hosts": ("本次没有被检主机。", "There is no host in this inspection."),
    "no_filesystems": ("没有独立的文件系统。", "There is no file system with space of its own."),
    "no_disks": ("主机没有可见的物理磁盘（容器或云盘）。", "No disk can be seen from the hosts."),
    "virtual_disk": ("虚拟磁盘，由宿主机保障", "virtual, its host looks after it"),
    "smart_passed": ("通过", "passed"),
    "smart_failed": ("未通过", "FAILED"),
    "power_on_hours": ("通电 {n} h", "on for {n} h"),
    "reallocated_sectors": ("重映射 {n}", "{n} reallocated"),
    "pending_sectors": ("待映射 {n}", "{n} pending"),
    "wear_percent": ("磨损 {n} %", "{n} % worn"),
    "restart_needed": ("须重启后生效", "waits for a restart"),
    "no_jobs": ("没有定时作业。", "There is no scheduled job."),
    "program_missing": ("程序不存在", "its program is not there"),
    "no_databases": ("本次巡检范围内没有数据库服务器。", "There is no database server in this inspection."),
    "no_tables": ("没有业务表。", "There is no table."),
    "no_dead_rows": ("没有死元组。", "There are no dead rows."),
    "no_backups": ("没有读到备份。", "No backup was found."),
    "primary": ("主库", "primary"),
    "standby": ("备库", "standby"),
    "archive_on": ("归档正常", "archiving"),
    "archive_off": ("未开启归档", "archiving is off"),
    "archive_failing": ("归档失败", "archiving fails"),
    "receives": ("接收 {status}", "receiver {status}"),
    "standbys": ("{n} 个备库", "{n} standbys"),
    "waits_for_restart": ("待重启生效", "waits for a restart"),
    "tablespace": ("表空间", "tablespace"),
    "backup_status": ("状态 {status}", "status {status}"),
    "backup_count": ("共 {n} 份，其中全量 {full} 份", "{n} backups, {full} of them full"),
    "encrypted": ("已加密", "encrypted"),
    "not_encrypted": ("未加密", "not encrypted"),
    "backup_errors": ("{n} 份有错误", "{n} with errors"),
    "no_snapshots": ("没有取得任何主机的快照", "there is no snapshot of any host"),
    "not_provided": ("未提供", "not provided"),
    "not_involved": ("本次未涉及（{reason}）", "not part of this inspection ({reason})"),
    "more_rows": (
        "（此表另有 {n} 行未列出，全文见已签名的记录及其附件。）",
        "({n} more rows are not listed; the signed record and its attachments hold them all.) ",
    ),
    # summary
    "conclusion_outcome": (
        "本次巡检{outcome}，以下结论只对已取得的内容有效。",
        "This inspection: {outcome}; what follows holds only for what was obtained.",
    ),
    "conclusion_critical": (
        "发现 {critical} 处严重问题，须立即处理；另有警告 {warning} 处、建议 {advice} 处。",
        "Critical problems that ask for action at once: {critical}; besides, warnings: {warning}, advice: {advice}.",
    ),
    "conclusion_warning": (
        "未发现严重问题；有警告 {warning} 处、建议 {advice} 处，应在期限内处理。",
        "No critical problem; to be dealt with in time: warnings {warning}, advice {advice}.",
    ),
    "conclusion_advice": (
        "未发现严重问题和警告；有建议 {advice} 处。",
        "No critical problem and no warning; advice: {advice}.",
    ),
    "conclusion_pass": ("已取得的检查项均正常。", "Everything that was obtained is as it should be."),
    "conclusion_unknown": (
        "有 {unknown} 项未取得，不能据此认为正常。",
        "Not obtained, and so not known to be well: {unknown}.",
    ),
    "conclusion_nothing": ("没有取得任何检查项。", "Nothing was obtained."),
    "missing_some": (
        "有 {n} 项未取得，涉及：{names}。原因逐项列于第 12 章；未取得的内容不作判断，也不视为正常。",
        "Checks that could not be obtained: {n}, among them: {names}. Chapter 12 has the reasons; none counts as a pass.",
    ),
    "missing_none": ("所有检查项均已取得。", "Every check could be obtained."),
    # scope
    "basis": ("维保合同{contract}第 {clauses} 条", "contract {contract}, clauses {clauses}"),
    "routine": ("例行巡检", "routine"),
    "hosts_count": ("{n} 台主机", "{n} hosts"),
    "reached": ("{reached} / {expected} 台", "{reached} of {expected}"),
    "not_reached": ("；未到达：{hosts}", "; not reached: {hosts}"),
    "from": ("，来自 {address}", ", from {address}"),
    "synchronised": ("已同步", "synchronised"),
    "not_synchronised": ("未同步", "not synchronised"),
    "synchronised_unknown": ("同步状态未知", "not known whether synchronised"),
    "offset": ("，偏差 {seconds} s", ", offset {seconds} s"),
    "uncommitted": ("（工作区有未提交的改动）", " (with changes that are not committed)"),
    "terminals": (
        "本次巡检包含 {n} 台终端（{hosts}），检查结果已并入以上各章。",
        "Terminals in this inspection: {n} ({hosts}); their results are in the chapters above.",
    ),
    "terminals_elsewhere": (
        "终端的硬件配置、操作系统和防病毒软件按合同 3.1.5 由终端巡检单独检查并出具报告",
        "hardware, operating system and antivirus of terminals have an inspection of their own, contract 3.1.5",
    ),
    # results
    "no_checks": ("没有该领域的检查项", "no check of this area"),
    "checks_counted": ("共 {n} 项：{counts}。", "{n} checks: {counts}. "),
    "nothing_to_do": ("没有需要处理的问题。", "Nothing asks for action."),
    "problems_none": ("本次巡检没有需要处理的问题。", "Nothing asks for action."),
    "problems_counted": (
        "共 {n} 处问题，归为 {rows} 条，按严重程度排列；“是否停机”由双方在处理前商定。",
        "{n} problems in {rows} rows, the gravest first. Whether one needs downtime is agreed beforehand.",
    ),
    "unknown_none": ("没有未取得的检查项。", "Every check could be obtained."),
    "risks_none": ("本次未发现需要处理的风险。", "No risk that asks for action was found."),
    "everything": ("共 {n} 项，含正常项的实测值。", "{n} checks, with the values of those that pass."),
    "everything_compact": (
        "共 {n} 项。主机较多，此处按主机列出各结论的规则；逐项实测值见已签名的 record.json。",
        "{n} checks. The hosts are many: rules by result are listed here; every value is in the signed record.json.",
    ),
    "tuning_none": ("没有发现需要调整的参数。", "No parameter was found that needs to be changed."),
    "hardware_none": (
        "依据本次实测与预测，没有需要提出的硬件改进意见。",
        "Neither the measurements nor the forecast ask for new hardware.",
    ),
    "expand": ("增加 {add}，最迟 {by}", "add {add} by {by}"),
    # the previous inspection
    "compared_first": (
        "这是本台账中的首次巡检，没有可对比的上次结果；下次巡检将从本次的问题清单开始闭环。",
        "This is the first inspection of this ledger; the next one will follow up the problems of this one.",
    ),
    "compared": (
        "上次巡检完成于 {finished}（运行编号 {run}），遗留 {n} 项。",
        "The previous inspection ended {finished} (run {run}) and left {n} problems. ",
    ),
    "compared_none": ("上次巡检没有遗留问题。", "The previous inspection left no problem."),
    "compared_rule": (
        "未能复核的问题（主机未到达或该项未取得）不视为关闭，期限不变。",
        "Problems that could not be looked at are not closed, and their dates stay.",
    ),
    # capacities
    "no_capacity": ("本次记录中没有容量指标", "this record holds no measure of capacity"),
    "method": (
        "数据取自同一台账中已签名的历次巡检记录，每天取一个点。日增长为 Theil–Sen 斜率（所有两点连线斜率的中位数，"
        "单个异常点不会左右结果），括号内为 95 % 秩区间（Sen, 1968）。到达日从本次实测值起算，为估计值。"
        "少于 {points} 个点或跨度不足 {days} 天时不作预测；{years} 年内不会到达的不列日期。"
        "扩容量按“一年后使用率不超过 80 %”计算，时点为到达 80 % 之日。",
        "The points come from the signed inspections of the same ledger, one a day. Growth is the Theil–Sen slope "
        "(the median of the slopes of all pairs, so that one outlier cannot decide it) with its 95 % rank interval "
        "(Sen, 1968). Dates are estimates, counted from the present value. Below {points} points or {days} days "
        "there is no forecast; dates beyond {years} years are not given. An expansion is what keeps use at 80 % or "
        "less for a year, due on the day on which 80 % is reached.",
    ),
    "forecast_silent": (
        "有 {n} 项容量的历史数据不足（须有不少于 {points} 个点、跨度不少于 {days} 天），暂不预测；现值见第 5 章。",
        "Of {n} capacities there is too little history (at least {points} points over {days} days); chapter 5 has them.",
    ),
    "expansion_none": (
        "按现有增长，一年内各项使用率均不超过 80 %，无需扩容。",
        "At the present growth all stay below 80 % for a year.",
    ),
    "expansion_unknown": (
        "另有 {n} 项历史数据不足，暂不能给出扩容建议；下次巡检后补充。",
        "For {n} more there is too little history for advice yet; the next inspection will add to it.",
    ),
    "within_a_year": ("一年之内", "within a year"),
    "expansion_why": ("现值 {now}，上限 {limit}；每天 {growth}", "now {now} of {limit}; {growth} a day"),
    "flat": ("（持平或减少）", " (flat or shrinking)"),
    "too_few": ("数据不足（{n} 个点）", "too little data ({n} points)"),
    "points": ("{n} 个点，{days} 天", "{n} points, {days} days"),
    "no_limit": ("无上限", "no limit"),
    "reached_already": ("已达到", "reached"),
    "not_in_years": ("{years} 年内不会", "not in {years} years"),
    "filesystem_used_bytes": ("文件系统", "file system"),
    "filesystem_inodes_used": ("文件系统 inode", "inodes of the file system"),
    "database_size_bytes": ("数据库", "database"),
    "table_size_bytes": ("表", "table"),
    "tablespace_size_bytes": ("表空间", "tablespace"),
    "backup_size_bytes": ("末次备份", "last backup"),
    "sequence_value": ("序列号", "sequence"),
    "parties": ("{hospital}（甲方） · {vendor}（乙方）", "{hospital} · {vendor}"),
    # appendix
    "no_command": ("（没有执行外部命令）", "(no external command)"),
    "commands": (
        "采集程序在主机上只读取，不作任何更改。除直接读取 /proc、/sys 和配置文件以外，执行过的外部命令如下：",
        "The collectors only read. Besides reading /proc, /sys and configuration files, these commands were run:",
    ),
    "commands_more": (
        "另有 {n} 条未列出，全文见各主机的快照附件。",
        "{n} more are in the snapshots attached to the record.",
    ),
    "manifest_before": ("上一条目的 MANIFEST", "MANIFEST of the entry before"),
    "events": ("运行事件（收到 {seen} / {expected}）", "events ({seen} of {expected} seen)"),
    "playbook": ("运行手册", "playbook"),
    "inventory": ("主机清单", "inventory"),
    "lock": ("依赖锁定文件", "lock of the dependencies"),
    "policy": ("脱敏规则", "redaction policy"),
    "verification": (
        "核验方法：在台账中本次运行的 close 条目的文件夹内执行以下两条命令，只需系统自带的 coreutils 与 OpenSSH。"
        "MANIFEST 列出了本报告的指纹；整本台账可用其首条目所附的 verify.sh 核验。",
        "To verify, run these two commands in the folder of this run's close entry; coreutils and OpenSSH are enough. "
        "MANIFEST lists the digests of this report; verify.sh in the ledger's first entry checks the whole ledger.",
    ),
    # progress
    "drawing": ("绘制图表", "drawing the charts"),
    "writing": ("生成 Word 报告", "writing the Word report"),
}

QUARTERS = ("一", "二", "三", "四")


class Words:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._index = 0 if language == "zh" else 1

    def __call__(self, key: str, /, **values: object) -> str:
        """The word or sentence `key`; what is no key (an unknown owner or area) is itself."""
        pair = _WORDS.get(key)
        if pair is None:
            return key
        return pair[self._index].format(**values) if values else pair[self._index]

    def quarter(self, year: int, number: int) -> str:
        """The quarter as a title says it."""
        return self("quarter", year=year, quarter=QUARTERS[number - 1] if self.language == "zh" else number)

    def missing(self, reason: str = "") -> str:
        """What stands where a value could not be read."""
        return self("not_obtained", reason=reason or self("no_reason"))
