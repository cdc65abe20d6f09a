"""The attack table of docs/evidence.md put to the page: it says what the command says, of the same entries."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import Page, zipped
from test_attack_matrix import (
    ALONE,
    LIST,
    WITH,
    Case,
    Row,
    case,  # noqa: F401  (a fixture)
    exchange_the_second_signature,
    put_a_link,
    put_something_beside,
    rows,
    sound,  # noqa: F401  (a fixture)
    use_an_ended_key_with_an_old_date,
)

from maintenance import ledger, verification
from maintenance.pack import build

NO_SM2 = (exchange_the_second_signature,)
NO_FILE = (
    put_a_link,
    put_something_beside,
)  # neither a zip nor a browser's folder has links and empty folders


def put_to(browser: Page, case: Case, **given: Path) -> Page:  # noqa: F811
    page = browser.open(build.PAGE).give("zip", zipped(case.path, case.folder / "pack.zip"))
    for field, path in given.items():
        page.give(field, path)
    return page


def agree(page: Page, case: Case, row: Row, **given: Path) -> None:  # noqa: F811
    expected = verification.verify(case.path, **given).faults
    assert page.state == "broken"
    assert any(row.said in str(fault) for fault in expected)
    named = {fault.split(" ", 1)[0] for fault in page.faults}
    assert named == {fault.entry.split(" ", 1)[0] for fault in expected}, (page.faults, expected)


@pytest.mark.parametrize(
    "row", [row for row in rows(ALONE) if row.values[0].plant not in (*NO_SM2, *NO_FILE)]
)
def test_the_page_shows_what_the_ledger_alone_shows(browser: Page, case: Case, row: Row) -> None:  # noqa: F811
    row.plant(case)
    agree(put_to(browser, case), case, row)


@pytest.mark.parametrize("row", [row for row in rows(LIST) if row.values[0].attack not in WITH])
def test_the_page_shows_what_only_the_hospital_can(browser: Page, case: Case, row: Row) -> None:  # noqa: F811
    row.plant(case)
    page = put_to(browser, case)
    assert (page.state, page.faults) == ("partial", []), "amber for SM2, which a browser cannot check"
    if row.plant is use_an_ended_key_with_an_old_date:
        case.receive(time=ledger.now())
        agree(put_to(browser, case), case, row)
    else:
        agree(page.give("heads", case.heads), case, row, heads=case.heads)


def test_a_witness_of_the_engineers_own_fails_by_the_hospitals_list(browser: Page, case: Case) -> None:  # noqa: F811
    (row,) = [item.values[0] for item in rows(LIST) if "witness of his own" in item.values[0].attack]
    row.plant(case)
    trusted = case.site.folder / "allowed_signers"
    page = put_to(browser, case, signers=trusted)
    agree(page, case, row, signers=trusted)


@pytest.mark.parametrize("row", [row for row in rows(ALONE) if row.values[0].plant in NO_SM2])
def test_what_the_page_cannot_check_is_not_green(browser: Page, case: Case, row: Row) -> None:  # noqa: F811
    row.plant(case)
    page = put_to(browser, case)
    assert (page.state, page.faults) == ("partial", [])
    assert "SM2 signatures cannot be checked in a browser" in page.text("explained")
