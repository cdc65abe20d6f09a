"""What is put into the templates and the workbook of an assessment, in both languages."""

from __future__ import annotations

from typing import Literal

from maintenance.documents.words import Words

_WORDS: dict[str, tuple[str, str]] = {
    # verdicts
    "pass": ("符合", "pass"),
    "partial": ("部分符合", "partial"),
    "fail": ("不符合", "fail"),
    "waived": ("已豁免", "waived"),
    "manual": ("需人工", "manual"),
    "not_applicable": ("不适用", "not applicable"),
    "unknown": ("未知", "unknown"),
    # severities, as assessors grade them
    "critical": ("高", "high"),
    "warning": ("中", "medium"),
    "advice": ("低", "low"),
    # who judges an item
    "automatic": ("自动", "automatic"),
    "partly": ("部分自动", "partly automatic"),
    "evidence": ("台账证据", "ledger"),
    # chapters of GB/T 22239, level 3
    "8.1.1": ("安全物理环境", "Physical environment"),
    "8.1.2": ("安全通信网络", "Communication network"),
    "8.1.3": ("安全区域边界", "Zone boundary"),
    "8.1.4": ("安全计算环境", "Computing environment"),
    "8.1.5": ("安全管理中心", "Management centre"),
    "8.1.6": ("安全管理制度", "Management rules"),
    "8.1.7": ("安全管理机构", "Organisation"),
    "8.1.8": ("安全管理人员", "Personnel"),
    "8.1.9": ("安全建设管理", "Building the system"),
    "8.1.10": ("安全运维管理", "Operating the system"),
    "other_chapter": ("其他", "Others"),
    "total": ("合计", "total"),
    # the conclusion
    "report": ("等保三级自评估报告", "self-assessment, MLPS level 3"),
    "remediation": ("等保整改报告", "remediation report, MLPS level 3"),
    "with_previous": ("含整改前后对比", "with what changed since the time before"),
    "blank": ("____________", "____________"),
    "conclusion_outcome": (
        "本次运行{outcome}，以下内容只对已取得的部分有效。",
        "This run: {outcome}; what follows holds only for what was obtained.",
    ),
    "conclusion_dangers": (
        "发现重大风险隐患候选 {n} 类（{codes}），应最先处置。",
        "Candidates of grave dangers: {n} ({codes}); they come first.",
    ),
    "conclusion_no_danger": (
        "自动检查未发现重大风险隐患候选；需人工核查的部分未作判断。",
        "The automatic checks found no candidate of a grave danger; what people must judge is not judged.",
    ),
    "conclusion_counts": (
        "{total} 项中符合 {pass}、部分符合 {partial}、不符合 {fail}、不适用 {not_applicable}；"
        "需人工 {manual}、未知 {unknown}，尚无结论。",
        "Of {total} items: pass {pass}, partial {partial}, fail {fail}, not applicable {not_applicable}; "
        "without a conclusion: manual {manual}, unknown {unknown}.",
    ),
    "conclusion_ratio": (
        "符合率区间 {low} %～{high} %。",
        "The ratio of compliance lies between {low} % and {high} %.",
    ),
    "ratio": ("{low} %～{high} %", "{low} % – {high} %"),
    "score": (
        "另按 2021 版报告模板的缺陷扣分法估算：{low}～{high} 分（满分 100）。该模板已由 2025 版取代，"
        "分数不再用于判定结论；权重不明处按最重与最轻两种假设计算，故为区间。",
        "By the deduction of defects of the 2021 template: {low} – {high} of 100. That template was replaced in 2025 "
        "and its score decides nothing any more; where weights are not known the heaviest and the lightest are "
        "assumed, so it is an interval.",
    ),
    "open_some": (
        "需人工 {manual} 项由院方按第 7 章清单出示材料后判定；未知 {unknown} 项因主机未到达或数据未取得，复测后判定。"
        "两者均不计为符合。",
        "Manual: {manual} items, judged when the hospital has shown what chapter 7 lists. Unknown: {unknown} items, "
        "judged when the hosts or values could be obtained. Neither counts as a pass.",
    ),
    "open_none": ("没有未决项。", "Nothing is open."),
    "checks_done": (
        "{n} 项检查结果（{ids} 条检查，{hosts} 台主机）",
        "{n} results ({ids} checks on {hosts} hosts)",
    ),
    # dangers
    "dangers_intro": (
        "“候选”指自动检查发现的、可能构成重大风险隐患的情形；是否构成，由测评机构结合全系统综合判定。"
        "豁免只表示院方接受，不消除隐患，故仍列于此。",
        "A candidate is what the checks found and an assessor may call a grave danger; whether it is one is judged with "
        "the whole system in view. A waiver accepts a danger and does not remove it, so it stays here.",
    ),
    "dangers_none": (
        "自动检查未发现重大风险隐患候选。物理环境、网络设备、管理制度等须人工核查的部分不在判断之内。",
        "The automatic checks found no candidate. Rooms, network devices and rules, which people must judge, are not "
        "part of this.",
    ),
    "no_mitigation": ("□ 无  □ 有：________", "□ none  □ there is: ________"),
    # items
    "chapter_counts": ("共 {n} 项：{counts}。", "{n} items: {counts}."),
    "checks_of_item": ("检查 {n} 条：{counts}", "{n} checks: {counts}"),
    "no_object": ("—", "—"),
    "whole_system": ("全系统", "whole system"),
    "objects_more": ("{objects} 等 {n} 个", "{objects} … ({n})"),
    "ledger_entry": ("{at} {what}（{entry}）", "{at} {what} ({entry})"),
    "because": ("未取得：{reasons}", "not obtained: {reasons}"),
    # failing checks
    "failing_sentence": (
        "共 {n} 处检查结果不为符合（不符合 {fail}、部分符合 {partial}、已豁免 {waived}、未知 {unknown}），"
        "涉及 {hosts} 台主机。在多台主机上结果相同的合并列于 5.2，其余逐台列于 5.3，未知的按原因列于 5.4。",
        "{n} results are no pass (fail {fail}, partial {partial}, waived {waived}, unknown {unknown}) on {hosts} hosts. "
        "Alike on several hosts: together in 5.2; the others host by host in 5.3; what is unknown by reason in 5.4.",
    ),
    "failing_none": (
        "所有检查结果均为符合或不适用。",
        "Every check passed or does not apply.",
    ),
    "no_findings": ("本次没有取得任何检查结果。", "No check could be judged."),
    "unknown_none": ("没有未知的检查。", "Every check could be judged."),
    "shared_none": ("没有在多台主机上结果相同的检查。", "No check has one result on several hosts."),
    "own_none": ("没有只在个别主机上出现的结果。", "No result is of a single host."),
    "host_counts": (
        "共 {n} 处：不符合 {fail}、部分符合 {partial}、已豁免 {waived}、未知 {unknown}；其中 {shared} 处见 5.2。",
        "{n} in all: fail {fail}, partial {partial}, waived {waived}, unknown {unknown}; {shared} of them are in 5.2.",
    ),
    "all_hosts": ("全部 {n} 台主机", "all {n} hosts"),
    "fixable": ("有", "yes"),
    "not_fixable": ("无", "no"),
    "reboot": ("重启后生效", "after a restart"),
    "rows_in_sheet": (
        "（另有 {n} 行未列出，全文见同名 xlsx 的“检查明细”。）",
        "({n} more rows are in the sheet of checks of the xlsx file of the same name.)",
    ),
    # waivers
    "waivers_none": ("没有豁免。", "There are no waivers."),
    "waiver_holds": ("有效", "holds"),
    "waiver_expired": ("已过期，按不符合计", "expired, counts as a failure"),
    "waivers_sentence": (
        "共 {n} 条，其中已过期 {expired} 条。豁免的项至多计为“部分符合”；过期的豁免不起作用。",
        "{n} waivers, {expired} of them expired. A waived item is partial at best; an expired waiver counts for nothing.",
    ),
    # to be shown by people
    "todo_sentence": (
        "共 {n} 项。责任人、完成日期由院方填写；材料备齐后登记入台账，下次自评估即可引用。",
        "{n} items. The hospital fills in who and until when; what is entered into the ledger counts the next time.",
    ),
    "todo_none": ("没有需要人工出示材料的项。", "Nothing has to be shown by people."),
    "retest": ("复测：{reasons}", "look again: {reasons}"),
    "unknown_wanted": (
        "复测（主机未到达或数据未取得）",
        "look again (host not reached, or value not obtained)",
    ),
    "in_ledger": ("台账已有 {n} 条", "{n} in the ledger"),
    # before and after
    "first_time": (
        "这是本台账中的首次自评估，没有可对比的上一次；下一次自评估将从本次结果开始对比。",
        "This is the first assessment of this ledger; the next one will be compared with it.",
    ),
    "compared_with": (
        "与上一次自评估（运行编号 {run}，完成于 {finished}）对比：改善 {better} 项，偏差消除待人工 {cleared} 项，"
        "退步 {worse} 项，新得出结论 {settled} 项，失去结论 {lost} 项，其他变化 {other} 项，未变 {same} 项。",
        "Compared with the assessment before (run {run}, ended {finished}): better {better}, cleared {cleared}, "
        "worse {worse}, concluded now {settled}, no longer concluded {lost}, changed otherwise {other}, "
        "unchanged {same}.",
    ),
    "compared_unnamed": (
        "与上一次自评估对比：改善 {better} 项，偏差消除待人工 {cleared} 项，退步 {worse} 项，"
        "新得出结论 {settled} 项，失去结论 {lost} 项，其他变化 {other} 项，未变 {same} 项。",
        "Compared with the assessment before: better {better}, cleared {cleared}, worse {worse}, concluded now "
        "{settled}, no longer concluded {lost}, changed otherwise {other}, unchanged {same}.",
    ),
    "better": ("改善", "better"),
    "cleared": ("偏差消除，待人工", "cleared, people judge the rest"),
    "worse": ("退步", "worse"),
    "settled": ("得出结论", "concluded"),
    "lost": ("失去结论", "no conclusion"),
    "other_change": ("变化", "changed"),
    "unchanged": ("各项结论均未变化。", "No item changed."),
    "was_not_there": ("—", "—"),
    "change_closed": ("已关闭：{checks}", "closed: {checks}"),
    "change_open": ("仍未关闭：{checks}", "still open: {checks}"),
    "change_new": ("新发现：{checks}", "new: {checks}"),
    "change_unknown": ("未能复核：{checks}", "not looked at: {checks}"),
    "issues_sentence": (
        "检查级问题 {n} 处：已关闭 {closed}、未关闭 {open}、本次新增 {new}、未能复核 {unknown}。",
        "Problems of checks: {n}; closed {closed}, open {open}, new {new}, not looked at {unknown}.",
    ),
    # the report of a remediation
    "remedied_conclusion": (
        "上一次自评估遗留检查级问题 {before} 处，本次复测：已整改 {closed} 处，未整改 {open} 处，未能复核 {unknown} 处；"
        "另新发现 {new} 处。测评项：符合 {pass_before} → {pass_after}，不符合 {fail_before} → {fail_after}。",
        "The assessment before left {before} problems of checks; looked at again: mended {closed}, not mended {open}, "
        "not looked at {unknown}; new {new}. Items: pass {pass_before} → {pass_after}, "
        "fail {fail_before} → {fail_after}.",
    ),
    "remedied_none_before": (
        "上一次自评估没有遗留检查级问题。",
        "The assessment before left no problem of a check.",
    ),
    "dangers_still": (
        "仍有重大风险隐患候选 {n} 类：{codes}。",
        "Candidates of grave dangers that are still there: {n} ({codes}).",
    ),
    "dangers_gone": (
        "复测未发现重大风险隐患候选。",
        "No candidate of a grave danger was found this time.",
    ),
    "mended_none": ("没有已整改的问题。", "Nothing was mended."),
    "mended_sentence": (
        "共 {n} 处，归为 {rows} 行。“整改前”为首次发现时的实测值，其原文在当次的已签名记录里（上一次：{run}）。",
        "{n} problems in {rows} rows. Before: as measured when first seen; it is in the signed record of then "
        "(the last: {run}).",
    ),
    "unmended_none": ("没有未整改的问题。", "Nothing is left to be mended."),
    "unmended_sentence": (
        "共 {n} 处，归为 {rows} 行。补偿措施由甲乙双方填写；拟接受的风险须由院方批准，并登记为豁免。",
        "{n} problems in {rows} rows. Both parties fill in what makes up for them; a risk is accepted by the hospital "
        "alone and entered as a waiver.",
    ),
    "state_closed": ("已整改", "mended"),
    "state_open": ("未整改", "not mended"),
    "state_new": ("新发现", "new"),
    "state_unknown": ("未能复核", "not looked at"),
    "seen_before": ("{day} 首次发现，结论不为符合", "first seen {day}, no pass"),
    "measured_before": (
        "实测：{actual}\n要求：{expected}\n{day} 首次发现",
        "measured: {actual}\nwanted: {expected}\nfirst seen {day}",
    ),
    "measured_twice": (
        "整改前：{before}\n复测：{now}\n要求：{expected}",
        "before: {before}\nnow: {now}\nwanted: {expected}",
    ),
    "now_waived": ("已豁免", "waived"),
    "now_gone": ("复测符合，或对象已不存在", "passes, or is no longer there"),
    "overdue_state": ("{state}（逾期）", "{state}, overdue"),
    # the appendix
    "rules_file": ("检查规则", "checks"),
    "commands_elsewhere": (
        "采集程序只读取，不作任何更改；在各主机上执行过的外部命令全文见记录的附件（各主机快照的 commands）。",
        "The collectors only read. Every external command that they ran is in the snapshots attached to the record "
        "(commands).",
    ),
    # the workbook
    "sheet_summary": ("汇总", "Summary"),
    "sheet_items": ("{n} 项", "{n} items"),
    "sheet_checks": ("检查明细", "Checks"),
    "sheet_dangers": ("重大风险隐患", "Grave dangers"),
    "sheet_todo": ("需人工", "To be shown"),
    "sheet_changes": ("整改前后", "Before and after"),
    "sheet_waivers": ("豁免", "Waivers"),
    "label": ("自评估，非测评结论", "Self-assessment, not the conclusion of an assessor"),
    "row_hospital": ("甲方（医院）", "Hospital"),
    "row_vendor": ("乙方（维保方）", "Vendor"),
    "row_system": ("系统", "System"),
    "row_standard": ("依据", "Standard"),
    "row_run": ("运行编号", "Run"),
    "row_period": ("评估时间", "Time"),
    "row_ratio": ("符合率区间", "Ratio of compliance"),
    "row_method": ("计算方法", "How it is computed"),
    "row_score": ("2021 版模板", "Template of 2021"),
    "row_record": ("record.json (SHA-256)", "record.json (SHA-256)"),
    "col_chapter": ("章节", "Chapter"),
    "col_name": ("名称", "Name"),
    "col_items": ("项数", "Items"),
    "col_unit": ("测评单元", "Unit"),
    "col_clause": ("条款", "Clause"),
    "col_item": ("测评项", "Item"),
    "col_kind": ("判断方式", "Judged by"),
    "col_verdict": ("结论", "Verdict"),
    "col_objects": ("对象", "Objects"),
    "col_checks": ("检查", "Checks"),
    "col_evidence": ("台账证据", "Entries of the ledger"),
    "col_wanted": ("需出示 / 说明", "To be shown, or why"),
    "col_host": ("主机", "Host"),
    "col_check": ("检查编号", "Check"),
    "col_title": ("检查项", "What is checked"),
    "col_subject": ("检查对象", "Subject"),
    "col_expected": ("要求", "Expected"),
    "col_actual": ("实测", "Measured"),
    "col_severity": ("级别", "Grade"),
    "col_advice": ("整改建议", "Advice"),
    "col_risk": ("操作风险", "Risk of remedy"),
    "col_fixable": ("自动整改", "harden"),
    "col_reboot": ("重启", "Restart"),
    "col_owner": ("责任方", "Owner"),
    "col_code": ("代码", "Code"),
    "col_danger": ("隐患", "Danger"),
    "col_hosts": ("主机", "Hosts"),
    "col_mitigation": ("缓解措施", "Mitigation"),
    "col_before": ("整改前", "Before"),
    "col_after": ("整改后", "After"),
    "col_change": ("变化", "Change"),
    "col_detail": ("说明", "Details"),
    "col_reason": ("理由", "Reason"),
    "col_approved": ("批准人", "Approved by"),
    "col_until": ("有效期至", "Until"),
    "col_state": ("状态", "State"),
    "col_responsible": ("责任人", "Who"),
    "col_due": ("完成日期", "Done on"),
    "col_done": ("已备", "Shown"),
    "col_note": ("备注", "Remarks"),
    "col_number": ("序号", "No."),
    "col_danger_code": ("隐患代码", "Danger"),
}


class AssessmentWords(Words):
    """The words of an assessment; what they do not name are the words of every report."""

    def __init__(self, language: Literal["zh", "en"]) -> None:
        super().__init__(language)
        self._own = {key: pair[0 if language == "zh" else 1] for key, pair in _WORDS.items()}

    def __call__(self, key: str, /, **values: object) -> str:
        """The word or sentence `key`."""
        own = self._own.get(key)
        if own is None:
            return super().__call__(key, **values)
        return own.format(**values) if values else own
