"""The assessment: nothing becomes better than what was seen, and the interval holds what is still open."""

from __future__ import annotations

import pytest
from factories import FINISHED, finding

from maintenance import assessment
from maintenance.assessment import Case, assess, fold, ratio, score_2021
from maintenance.assessment_evidence import Shown
from maintenance.catalogue import Catalogue
from maintenance.catalogue import load as load_catalogue
from maintenance.record import Assessment, AssessmentItem, CheckInfo


def text(word: str) -> dict[str, str]:
    return {"zh": f"{word}（中）", "en": word}


def item(unit: str, clause: str, kind: str, **more: object) -> dict[str, object]:
    return {
        "unit": unit,
        "clause": clause,
        "kind": kind,
        "title": text(unit),
        "wanted": text("papers"),
        **more,
    }


CATALOGUE = Catalogue.model_validate(
    {
        "schema": "baseline-catalogue/1",
        "standard": text("standard"),
        "dangers": {"A-18": text("weak passwords"), "A-20": text("rights")},
        "items": [
            item("L3-CES1-01", "8.1.4.1a", "automatic"),
            item("L3-CES1-04", "8.1.4.1d", "partly"),
            item("L3-CNS1-06", "8.1.2.2a", "partly", checks=["LNX-IA-01"]),
            item("L3-ORS1-12", "8.1.7.5a", "evidence", evidence=[{"run": ["inspect"], "days": 100}]),
            item("L3-HRS1-06", "8.1.8.3a", "manual", evidence=[{"entry": "training", "days": 400}]),
            item("L3-CMS1-11", "8.1.9.4a", "not_applicable"),
        ],
    }
)


def check(name: str, unit: str = "L3-CES1-01", danger: str = "") -> CheckInfo:
    return CheckInfo(id=name, unit=unit, risk="R1", danger=danger, fixable=False, reboot=False)


CHECKS = (
    check("LNX-IA-01A", danger="A-18"),
    check("LNX-IA-01B"),
    check("LNX-IA-02"),
    check("PG-IA-01", danger="A-20"),
    check("LNX-2F-01", "L3-CES1-04"),
    check("LNX-2F-02", "L3-CES1-04"),
)


def made(evidence: dict[str, list[tuple[str, str]]], **more: object) -> Assessment:
    """The assessment of hosts whose checks have these verdicts."""
    findings = {
        host: [finding(id=name, verdict=verdict) for name, verdict in pairs]
        for host, pairs in evidence.items()
    }
    case = Case(evidence=findings, **({"hosts": sorted(evidence), "at": FINISHED, "language": "en"} | more))
    return assess(CATALOGUE, CHECKS, case)


def of(told: Assessment, unit: str) -> AssessmentItem:
    return next(one for one in told.items if one.unit == unit)


@pytest.mark.parametrize(
    "verdicts, whole",
    [
        (["pass", "pass"], "pass"),
        (["fail", "fail"], "fail"),
        (["pass", "fail"], "partial"),
        (["partial"], "partial"),
        (["pass", "waived"], "partial"),
        (["waived"], "partial"),
        (["fail", "waived"], "partial"),
        (["pass", "unknown"], "unknown"),
        (["unknown"], "unknown"),
        (["fail", "unknown"], "fail"),
        (["pass", "fail", "unknown"], "partial"),
        (["waived", "unknown"], "partial"),
        (["pass", "manual"], "manual"),
        (["pass", "not_applicable"], "pass"),
        (["fail", "not_applicable"], "fail"),
        (["not_applicable"], "not_applicable"),
        ([], "not_applicable"),
    ],
)
def test_many_verdicts_are_one_that_is_no_better_than_the_worst(verdicts, whole):
    assert fold(verdicts) == whole
    assert fold(reversed(verdicts)) == whole


def test_host_and_database_are_objects_of_their_own():
    told = of(
        made({"db1": [("LNX-IA-02", "pass"), ("PG-IA-01", "fail"), ("PG-IA-01", "pass")]}), "L3-CES1-01"
    )
    assert told.objects == {"db1": "pass", "db1/postgresql": "partial"}
    assert told.verdict == "partial"
    assert told.checks == ["LNX-IA-02", "PG-IA-01"]
    assert assessment.object_of("db2", "MY-IA-01") == "db2/mariadb"
    assert assessment.object_of("pc1", "WIN-IA-01") == "pc1"


def test_all_objects_must_fail_for_the_item_to_fail():
    failing = {"db1": [("LNX-IA-02", "fail")], "app1": [("LNX-IA-02", "fail")]}
    assert of(made(failing), "L3-CES1-01").verdict == "fail"
    mixed = {"db1": [("LNX-IA-02", "fail")], "app1": [("LNX-IA-02", "pass")]}
    assert of(made(mixed), "L3-CES1-01").verdict == "partial"


def test_a_host_that_was_not_reached_is_unknown_and_not_absent():
    told = made({"db1": [("LNX-IA-02", "pass"), ("LNX-2F-01", "pass")]}, hosts=["app1", "db1"])
    for unit in ("L3-CES1-01", "L3-CES1-04"):
        assert of(told, unit).objects == {"app1": "unknown", "db1": "pass"}
        assert of(told, unit).verdict == "unknown"


def test_an_automatic_item_without_any_finding_is_unknown():
    told = of(made({"db1": [("LNX-2F-01", "pass")]}), "L3-CES1-01")
    assert (told.verdict, told.objects, told.checks) == ("unknown", {}, [])


def test_nothing_that_applies_leaves_an_automatic_item_aside():
    assert of(made({"db1": [("LNX-IA-02", "not_applicable")]}), "L3-CES1-01").verdict == "not_applicable"


def test_a_person_judges_the_rest_of_an_item_whose_automatic_part_passes():
    told = of(made({"db1": [("LNX-2F-01", "pass"), ("LNX-2F-02", "not_applicable")]}), "L3-CES1-04")
    assert (told.verdict, told.wanted) == ("manual", "automatic part passed 1/1; papers")
    told = of(made({"db1": [("LNX-2F-01", "pass"), ("LNX-2F-02", "fail")]}), "L3-CES1-04")
    assert (told.verdict, told.wanted) == ("partial", "papers")


@pytest.mark.parametrize("verdict", ["not_applicable", None])
def test_a_person_judges_an_item_that_no_check_told_of(verdict):
    pairs = [("LNX-2F-01", verdict)] if verdict else [("LNX-IA-02", "pass")]
    told = of(made({"db1": pairs}), "L3-CES1-04")
    assert (told.verdict, told.wanted) == ("manual", "papers")


def test_checks_of_other_units_tell_of_an_item_with_all_their_parts():
    told = of(
        made({"db1": [("LNX-IA-01A", "pass"), ("LNX-IA-01B", "fail"), ("LNX-IA-02", "pass")]}), "L3-CNS1-06"
    )
    assert (told.verdict, told.checks) == ("partial", ["LNX-IA-01A", "LNX-IA-01B"])


def test_checks_of_other_units_alone_do_not_fail_an_item():
    told = of(made({"db1": [("LNX-IA-01A", "fail")]}), "L3-CNS1-06")
    assert (told.verdict, told.objects) == ("partial", {"db1": "fail"})


def shown(kind: str, name: str, at: str = "2026-11-01T00:00:00Z") -> Shown:
    return Shown(kind, name, at, f"000003-close-{name}", f"{kind} {name}")


def test_an_item_is_shown_by_a_fresh_entry_of_the_ledger():
    told = made({"db1": []}, shown=[shown("run", "inspect"), shown("entry", "training")])
    inspected, trained = of(told, "L3-ORS1-12"), of(told, "L3-HRS1-06")
    assert (inspected.verdict, inspected.wanted) == ("pass", "")
    assert [one.entry for one in inspected.evidence] == ["000003-close-inspect"]
    assert (trained.verdict, trained.wanted) == ("manual", "papers"), "it is lent to a person, who judges"
    assert [one.what for one in trained.evidence] == ["entry training"]


@pytest.mark.parametrize(
    "entries", [[], [shown("run", "compare")], [shown("run", "inspect", "2026-08-01T00:00:00Z")]]
)
def test_without_a_fresh_entry_a_person_judges(entries):
    told = of(made({"db1": []}, shown=entries), "L3-ORS1-12")
    assert (told.verdict, told.evidence, told.wanted) == ("manual", [], "papers")


def test_not_applicable_says_why():
    told = of(made({"db1": []}), "L3-CMS1-11")
    assert (told.verdict, told.wanted, told.title) == ("not_applicable", "papers", "L3-CMS1-11")


def test_a_site_may_say_why_an_item_does_not_apply_where_no_check_tells_of_it():
    reasons = dict.fromkeys(("L3-HRS1-06", "L3-CES1-01", "L3-CES1-04"), "nobody works here")
    evidence = {"db1": [("LNX-IA-02", "fail"), ("LNX-2F-01", "not_applicable")]}
    told = made(evidence, not_applicable=reasons, hosts=["app1", "db1"])
    trained, factors, judged = of(told, "L3-HRS1-06"), of(told, "L3-CES1-04"), of(told, "L3-CES1-01")
    assert (trained.verdict, factors.verdict) == ("not_applicable", "not_applicable")
    assert trained.wanted == "the site states that it does not apply: nobody works here"
    assert factors.objects == {"db1": "not_applicable"}
    assert (judged.verdict, judged.wanted) == ("fail", "papers"), "what was seen is not argued away"


WAIVER = {
    "rule": "LNX-IA-02",
    "hosts": ["db*"],
    "reason": "old device",
    "approved_by": "head of IT",
    "until": "2026-11-22",
}


@pytest.mark.parametrize(
    "until, expired", [("2026-11-21", True), ("2026-11-22", False), ("2027-01-01", False)]
)
def test_waivers_are_listed_once_each_with_their_end(until, expired):
    given = [
        WAIVER | {"until": until},
        WAIVER | {"until": until},
        WAIVER | {"until": until, "subject": "root"},
    ]
    told = made({"db1": [("LNX-IA-02", "waived")]}, waivers=given)
    assert [(one.subject, one.expired) for one in told.waivers] == [("", expired), ("root", expired)]
    assert told.waivers[0].approved_by == "head of IT"
    assert of(told, "L3-CES1-01").verdict == "partial"


def test_a_danger_is_what_fails_also_where_it_was_waived_and_says_what_lowers_it():
    told = made(
        {
            "app1": [("LNX-IA-01A", "waived"), ("PG-IA-01", "partial")],
            "db1": [("LNX-IA-01A", "fail"), ("LNX-IA-02", "fail")],
        },
        mitigations={"A-18": "console only", "A-20": "unused"},
    )
    (danger,) = told.dangers
    assert (danger.code, danger.title, danger.hosts) == ("A-18", "weak passwords", ["app1", "db1"])
    assert (danger.checks, danger.mitigation) == (["LNX-IA-01A"], "console only")


def test_the_catalogue_of_checks_holds_what_was_judged():
    assert [one.id for one in made({"db1": [("PG-IA-01", "unknown")]}).checks] == ["PG-IA-01"]


@pytest.mark.parametrize(
    "verdicts, partial, interval",
    [
        (["pass", "fail", "manual", "unknown"], 0, (25.0, 75.0)),
        (["pass", "partial", "not_applicable"], 0, (50.0, 50.0)),
        (["pass", "partial", "not_applicable"], 0.5, (75.0, 75.0)),
        (["pass", "pass", "fail"], 0, (66.6, 66.7)),
        (["pass"], 0, (100.0, 100.0)),
        (["not_applicable"], 0, (0.0, 0.0)),
        ([], 0, (0.0, 0.0)),
    ],
)
def test_the_ratio_is_an_interval_that_is_rounded_outwards(verdicts, partial, interval):
    assert ratio(verdicts, partial) == interval


@pytest.mark.parametrize(
    "language, words", [("zh", "自评估，非测评结论"), ("en", "no conclusion of an assessor")]
)
def test_the_method_is_told_with_its_second_reading(language, words):
    told = made({"db1": [("LNX-IA-02", "pass"), ("LNX-2F-01", "fail")]}, language=language)
    assert (told.ratio_low, told.ratio_high) == (20.0, 80.0)
    assert words in told.ratio_method
    assert "5" in told.ratio_method
    assert told.score_2021_low is None


def test_the_score_of_2021_is_there_on_request_as_an_interval():
    told = made({"db1": [("LNX-IA-02", "pass"), ("LNX-2F-01", "fail")]}, score_2021=True)
    assert told.score_2021_low is not None
    assert told.score_2021_high is not None
    assert 0 <= told.score_2021_low < told.score_2021_high <= 100


def scored(**verdicts: int) -> tuple[float, float]:
    """Of 96 technical and 115 management items, all passing but so many technical ones."""
    bad = [verdict for verdict, count in verdicts.items() for _ in range(count)]
    technical = bad + ["pass"] * (96 - len(bad))
    items = [(4, verdict) for verdict in technical] + [(8, "pass")] * 115
    blank = made({"db1": []}).items[0]
    return score_2021((chapter, blank.model_copy(update={"verdict": verdict})) for chapter, verdict in items)


def test_the_score_of_2021_deducts_each_defect_of_all_items():
    assert scored() == (100.0, 100.0)
    assert scored(fail=1) == (98.58, 99.53)
    assert scored(partial=1) == (99.29, 99.76)
    assert scored(fail=22) == (68.72, 89.57)
    assert scored(manual=1) == (98.58, 100.0)
    assert scored(not_applicable=96) == (100.0, 100.0)
    assert scored(fail=96) == (50.0, 54.5), "a part is never below nothing"


def test_the_verdicts_of_the_time_before_are_kept():
    assert made({"db1": []}, previous={"L3-CES1-01": "fail"}).previous == {"L3-CES1-01": "fail"}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_real_catalogue_gives_all_211_items(language):
    told = assess(load_catalogue(), (), Case(evidence={}, hosts=["db1"], at=FINISHED, language=language))
    assert len(told.items) == 211
    assert {one.verdict for one in told.items} == {"unknown", "manual", "not_applicable"}
    assert (told.ratio_low, told.ratio_high) == (0.0, 100.0)
