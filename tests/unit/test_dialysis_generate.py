"""The synthetic data: the same for the same seed, of nobody, complete in shape, with the gaps of real life."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from datetime import date

import pytest
from dialysis_code import DIALYSIS, script

generate = script("generate")
UNTIL = date(2026, 11, 1)


def make(patients: int = 30, days: int = 60, seed: int = 1) -> str:
    output = io.StringIO()
    generate.generate(output, patients, days, seed, UNTIL)
    return output.getvalue()


def rows(text: str) -> dict[str, list[dict[str, str]]]:
    """The rows of each table, as COPY would read them."""
    tables = defaultdict(list)
    for table, columns, body in re.findall(
        r"^COPY dialysis\.(\w+) \(([^)]*)\) FROM stdin;\n(.*?)\n\\\.$", text, re.M | re.S
    ):
        names = [name.strip() for name in columns.split(",")]
        for line in body.split("\n"):
            values = line.split("\t")
            assert len(values) == len(names), f"{table}: {line}"
            tables[table].append(dict(zip(names, values, strict=True)))
    return tables


@pytest.fixture(scope="module")
def data() -> dict[str, list[dict[str, str]]]:
    return rows(make())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert make(10, 20, seed=7) == make(10, 20, seed=7)
    assert make(10, 20, seed=7) != make(10, 20, seed=8)


def test_no_identity_number_could_be_a_persons(data: dict[str, list[dict[str, str]]]) -> None:
    numbers = [row["id_no"] for row in data["patients"] if row["id_no"] != generate.NULL]
    assert len(numbers) == len(set(numbers)) > 20
    for number in numbers:
        assert re.fullmatch(r"9999\d{13}[\dX]", number)
        assert number[-1] != "10X98765432"[generate.check_value(number[:17])]


def test_no_telephone_number_could_be_dialled(data: dict[str, list[dict[str, str]]]) -> None:
    assert all(row["phone"] == generate.NULL or row["phone"].startswith("000") for row in data["patients"])


def test_a_known_identity_number_has_the_check_digit_of_the_standard() -> None:
    # The example of GB 11643-1999.
    assert "10X98765432"[generate.check_value("11010519491231002")] == "X"


def test_nobody_has_two_machines_and_no_machine_two_patients_in_a_shift(
    data: dict[str, list[dict[str, str]]],
) -> None:
    for who in ("patient_id", "machine_id"):
        slots = [(row[who], row["planned_date"], row["shift"]) for row in data["sessions"]]
        assert len(slots) == len(set(slots))


def test_patients_of_an_infection_zone_are_on_machines_of_that_zone(
    data: dict[str, list[dict[str, str]]],
) -> None:
    zone = {row["machine_id"]: row["zone"] for row in data["machines"]}
    infection = {row["patient_id"]: row["infection"] for row in data["patients"]}
    assert set(infection.values()) == {"none", "hbv", "hcv"}
    assert all(zone[row["machine_id"]] == infection[row["patient_id"]] for row in data["sessions"])


def test_the_past_is_closed_the_future_booked_and_nothing_runs(data: dict[str, list[dict[str, str]]]) -> None:
    future = {row["state"] for row in data["sessions"] if row["planned_date"] >= UNTIL.isoformat()}
    past = [row["state"] for row in data["sessions"] if row["planned_date"] < UNTIL.isoformat()]
    assert future == {"booked"}
    assert past.count("closed") > 0.99 * len(past)
    assert "running" not in past


@pytest.mark.parametrize(
    ("table", "column", "least", "most"),
    [
        ("sessions", "post_weight", 0.03, 0.35),
        ("sessions", "pre_weight", 0.01, 0.30),
        ("lab_results", "reported_at", 0.001, 0.15),
        ("consumable_usage", "lot_no", 0.02, 0.09),
    ],
)
def test_records_have_the_gaps_of_real_life(
    data: dict[str, list[dict[str, str]]], table: str, column: str, least: float, most: float
) -> None:
    missing = sum(row[column] == generate.NULL for row in data[table]) / len(data[table])
    assert least <= missing <= most


def test_every_reference_points_to_a_row(data: dict[str, list[dict[str, str]]]) -> None:
    keys = {table: {row[column] for row in data[table]} for table, column in generate.IDENTITIES.items()}
    for table, column, parent in (
        ("sessions", "patient_id", "patients"),
        ("sessions", "prescription_id", "prescriptions"),
        ("sessions", "machine_id", "machines"),
        ("vitals", "session_id", "sessions"),
        ("vitals", "nurse_id", "staff"),
        ("lab_results", "queue_id", "interface_queue"),
        ("consumable_usage", "consumable_id", "consumables"),
    ):
        assert {row[column] for row in data[table]} - {generate.NULL} <= keys[parent], (table, column)


def test_the_queues_messages_say_what_the_results_say(data: dict[str, list[dict[str, str]]]) -> None:
    from dialysis_code import service

    hl7 = service("hl7")
    assert data["interface_queue"]
    stored = defaultdict(dict)
    for row in data["lab_results"]:
        stored[row["queue_id"]][row["item_code"]] = row["value"]
    for row in data["interface_queue"]:
        payload = row["payload"].replace("\\r", "\r").replace("\\\\", "\\")
        report = hl7.parse(payload)
        told = {
            result.item_code: generate.NULL if result.value is None else str(result.value)
            for result in report.results
        }
        assert told == stored[row["queue_id"]]


def test_columns_are_those_of_the_schema() -> None:
    schema = (DIALYSIS / "releases" / "2.0.0" / "database" / "schema.sql").read_text(encoding="utf-8")
    for table, columns in generate.COLUMNS.items():
        body = re.search(rf"^CREATE TABLE {table} \((.*?)^\);", schema, re.M | re.S)
        assert body, table
        for column in columns.split(","):
            assert re.search(rf"^    {column.strip()} ", body.group(1), re.M), (table, column)


def test_laboratory_items_are_those_of_the_dictionary() -> None:
    dictionary = (DIALYSIS / "releases" / "2.0.0" / "database" / "dictionary.sql").read_text(encoding="utf-8")
    for code, name, unit, low, high, *_ in generate.LAB_ITEMS:
        assert f"('lab', '{code}', '{name}', '{unit}', {low}, {high}," in dictionary
