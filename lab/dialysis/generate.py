#!/usr/bin/env python3
"""Synthetic hemodialysis data as a psql script: generate.py --size small | psql -X dialysis

The same seed, size and date give the same bytes. Nobody in it exists: every identity number begins with
9999, a region that is not assigned, and has a wrong check digit; every phone number begins with 000.
Real records have gaps, and so have these: weights that were not taken, results that are not there yet,
sessions that nobody closed, lot numbers that nobody wrote down. Written for Python's standard library
alone, because it runs on the database host; sessions are made day by day and streamed, so that the size
of the data does not matter to the memory.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TextIO

SIZES = {"small": (60, 90), "medium": (200, 730), "large": (600, 3650)}  # patients, days
FLUSH_ROWS = 20000
NULL = "\\N"
SPECIMEN_EVERY_DAYS = 28

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
)
GIVEN_M = "伟强磊军洋勇杰涛超明刚平辉鹏华飞鑫波斌宇浩凯健俊帆建国志文海峰德荣"
GIVEN_F = "芳娜敏静丽艳娟霞秀兰玲桂英丹萍红玉梅莉琴云洁雪琳晶倩婷慧凤珍淑贞"
DISEASES = (
    ("慢性肾小球肾炎", 40),
    ("糖尿病肾病", 30),
    ("高血压肾损害", 15),
    ("多囊肾", 6),
    ("梗阻性肾病", 4),
    ("", 5),
)
DIALYZERS = ("FX80", "FX10", "Polyflux 17L", "REXEED-15UC", "15H")
SITES = {"AVF": "左前臂", "AVG": "左上臂", "TCC": "右颈内静脉", "NCC": "右股静脉"}
MODELS = ("4008S", "5008S", "AK 98", "DBB-EXA", "SWS-4000A")
CONSUMABLES = (
    ("DZ-01", "透析器", "1.5 m²", "支"),
    ("DZ-02", "透析管路", "成人", "套"),
    ("DZ-03", "内瘘穿刺针", "16G", "支"),
    ("DZ-04", "血液灌流器", "130 ml", "支"),
    ("DY-01", "透析浓缩液 A", "10 L", "桶"),
    ("DY-02", "透析干粉 B", "650 g", "袋"),
    ("YP-01", "低分子肝素钙注射液", "4100 IU", "支"),
    ("YP-02", "0.9% 氯化钠注射液", "500 ml", "袋"),
)
# code, name, unit, low, high, centre and spread of patients on dialysis
LAB_ITEMS = (
    ("HGB", "血红蛋白", "g/L", 110, 130, 108, 13),
    ("ALB", "白蛋白", "g/L", 40, 55, 38, 3.5),
    ("K", "钾", "mmol/L", 3.5, 5.5, 5.0, 0.7),
    ("CA", "钙", "mmol/L", 2.1, 2.5, 2.25, 0.2),
    ("P", "磷", "mmol/L", 1.13, 1.78, 1.85, 0.5),
    ("PTH", "全段甲状旁腺激素", "pg/mL", 150, 600, 380, 220),
    ("UREA", "尿素", "mmol/L", 3.1, 8, 23, 5),
    ("CREA", "肌酐", "μmol/L", 57, 111, 850, 190),
    ("FERR", "铁蛋白", "ng/mL", 200, 500, 310, 160),
    ("CRP", "C反应蛋白", "mg/L", 0, 8, 6, 5),
)
SHIFT_STARTS = {1: (7, 30), 2: (12, 30), 3: (17, 30)}

COLUMNS = {
    "staff": "staff_id, staff_no, name, duty",
    "patients": "patient_id, medical_record_no, name, sex, birth_date, id_no, phone, blood_type,"
    " primary_disease, infection, first_dialysis_on, status, created_at, updated_at",
    "vascular_access": "access_id, patient_id, kind, site, created_on, removed_on",
    "machines": "machine_id, asset_no, model, serial_no, bed_no, zone, status, checked_on",
    "prescriptions": "prescription_id, patient_id, doctor_id, mode, dialyzer, duration_min, blood_flow,"
    " dialysate_flow, calcium, anticoagulant, dry_weight, weekly_times, valid_from, valid_to",
    "consumables": "consumable_id, code, name, specification, unit, stock, minimum_stock",
    "sessions": "session_id, patient_id, prescription_id, machine_id, access_id, nurse_id, planned_date, shift,"
    " state, started_at, ended_at, pre_weight, post_weight, uf_goal_ml, uf_volume_ml, ktv, booked_at",
    "vitals": "session_id, measured_at, systolic, diastolic, heart_rate, venous_pressure,"
    " transmembrane_pressure, blood_flow, uf_rate, uf_total, temperature, nurse_id",
    "consumable_usage": "session_id, consumable_id, lot_no, quantity",
    "interface_queue": "queue_id, source, control_id, message_type, payload, state, attempts, received_at,"
    " processed_at",
    "lab_results": "patient_id, specimen_no, item_code, item_name, value, unit, reference, flag, sampled_at,"
    " reported_at, queue_id",
}
IDENTITIES = {
    "staff": "staff_id",
    "patients": "patient_id",
    "vascular_access": "access_id",
    "machines": "machine_id",
    "prescriptions": "prescription_id",
    "consumables": "consumable_id",
    "sessions": "session_id",
    "interface_queue": "queue_id",
}

# Foreign keys are not checked row by row during the load, so all of them are checked here as a set.
CHECK_REFERENCES = r"""
DO $$
DECLARE
    key record;
    orphans bigint;
BEGIN
    FOR key IN
        SELECT c.conrelid::regclass AS child, c.confrelid::regclass AS parent, f.attname AS from_column,
               t.attname AS to_column
        FROM pg_constraint c
        JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = c.conkey[1]
        JOIN pg_attribute t ON t.attrelid = c.confrelid AND t.attnum = c.confkey[1]
        WHERE c.contype = 'f' AND c.connamespace = 'dialysis'::regnamespace
    LOOP
        EXECUTE format('SELECT count(*) FROM %1$s c WHERE c.%3$I IS NOT NULL AND NOT EXISTS'
                       ' (SELECT FROM %2$s p WHERE p.%4$I = c.%3$I)',
                       key.child, key.parent, key.from_column, key.to_column) INTO orphans;
        IF orphans > 0 THEN
            RAISE EXCEPTION '%.% has % rows without a row in %', key.child, key.from_column, orphans, key.parent;
        END IF;
    END LOOP;
END $$;
"""


@dataclass(frozen=True)
class Patient:
    """What the days need to know about a patient."""

    number: int
    weekdays: tuple[int, ...]
    shift: int
    machine: int
    since: date
    dry_weight: float
    pressure: float
    access: int


class Loader:
    """Buffers rows a table and writes them as COPY blocks."""

    def __init__(self, output: TextIO) -> None:
        """Write to this stream."""
        self.output = output
        self.rows: dict[str, list[str]] = {table: [] for table in COLUMNS}

    def add(self, table: str, *values: Any) -> None:
        """One row; None is NULL. Text of ours has no tab, and line ends only as the HL7 carriage return."""
        self.rows[table].append("\t".join([NULL if value is None else str(value) for value in values]))
        if len(self.rows[table]) >= FLUSH_ROWS:
            self.flush([table])

    def flush(self, tables: Iterable[str] = tuple(COLUMNS)) -> None:
        """Write what is buffered."""
        for table in tables:
            rows = self.rows[table]
            if rows:
                self.output.write(f"COPY dialysis.{table} ({COLUMNS[table]}) FROM stdin;\n")
                self.output.write("\n".join(rows))
                self.output.write("\n\\.\n")
                rows.clear()


def escape(text: str) -> str:
    """COPY's text format for values that may hold a backslash or a carriage return."""
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")


def pick(rng: random.Random, items: Any) -> Any:
    """An element; random() alone is promised to stay the same between Python versions."""
    return items[int(rng.random() * len(items))]


def weighted(rng: random.Random, items: Iterable[tuple[str, int]]) -> str:
    """An element by weight; the weights add up to 100."""
    point = rng.random() * 100
    for item, weight in items:
        point -= weight
        if point < 0:
            return item
    return item


def bell(rng: random.Random, centre: float, spread: float) -> float:
    """About normal, never further away than three spreads, and cheap."""
    return centre + spread * 2 * (rng.random() + rng.random() + rng.random() - 1.5)


def maybe(rng: random.Random, missing: float, value: Any) -> Any:
    """The value, or None with a probability."""
    return None if rng.random() < missing else value


def person(rng: random.Random, female: bool) -> str:
    """A Chinese name of two or three characters."""
    given = GIVEN_F if female else GIVEN_M
    return pick(rng, SURNAMES) + pick(rng, given) + (pick(rng, given) if rng.random() < 0.65 else "")


def identity_number(birth: date, sequence: int, female: bool) -> str:
    """Of the right shape, but of no region (9999xx) and with a wrong check digit."""
    body = f"9999{sequence // 500:02d}{birth:%Y%m%d}{sequence % 500 * 2 + (0 if female else 1):03d}"
    return body + "10X98765432"[(check_value(body) + 10) % 11]


def check_value(body: str) -> int:
    """The weighted sum of GB 11643 modulo 11; the right check digit is its character in 10X98765432."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11


def stamp(moment: datetime) -> str:
    """Hospital time with its zone."""
    return f"{moment:%Y-%m-%d %H:%M:%S}+08"


def add_staff(load: Loader, rng: random.Random, nurses: int) -> None:
    """Ten doctors, then nurses, two engineers, and the account of the load driver."""
    duties = ["doctor"] * 10 + ["nurse"] * nurses + ["engineer"] * 2
    for number, duty in enumerate(duties, 1):
        load.add("staff", number, f"{duty[0].upper()}{number:04d}", person(rng, duty == "nurse"), duty)
    load.add("staff", len(duties) + 1, "DRIVER", "演练程序", "nurse")


def add_machines(load: Loader, rng: random.Random, beds: dict[str, int], until: date) -> dict[str, list[int]]:
    """The machines of each zone, the last ones of the common zone in repair or retired."""
    numbers: dict[str, list[int]] = {zone: [] for zone in beds}
    number = 0
    for zone, count in beds.items():
        for _ in range(count):
            number += 1
            numbers[zone].append(number)
            checked = maybe(rng, 0.05, until - timedelta(days=int(rng.random() * 180)))
            bed = f"{ {'none': 'A', 'hbv': 'B', 'hcv': 'C'}[zone] }{len(numbers[zone]):02d}"
            model = pick(rng, MODELS)
            load.add(
                "machines",
                number,
                f"HD{number:04d}",
                model,
                f"SN{number:08d}",
                bed,
                zone,
                "in_service",
                checked,
            )
    for status in ("repair", "retired"):
        number += 1
        load.add(
            "machines",
            number,
            f"HD{number:04d}",
            "4008S",
            f"SN{number:08d}",
            f"X{number}",
            "none",
            status,
            None,
        )
    return numbers


def make_patients(load: Loader, rng: random.Random, count: int, start: date, until: date) -> list[Patient]:
    """Patients with their access and prescriptions, each on a machine of the right zone."""
    infections = ["hbv" if n % 12 == 5 else "hcv" if n % 30 == 7 else "none" for n in range(count)]
    beds = {zone: -(-infections.count(zone) // 6) + 2 for zone in ("none", "hbv", "hcv")}
    machines = add_machines(load, rng, beds, until)
    placed = dict.fromkeys(beds, 0)
    patients = []
    for number, infection in enumerate(infections, 1):
        # Six patients a machine: three shifts, each on odd or on even days.
        place = placed[infection]
        placed[infection] += 1
        since = start + timedelta(days=int(rng.random() ** 3 * (until - start).days))
        patient = Patient(
            number=number,
            weekdays=((0, 2, 4), (1, 3, 5))[place % 2],
            shift=place // 2 % 3 + 1,
            machine=machines[infection][place // 6],
            since=since,
            dry_weight=round(bell(rng, 60, 7), 1),
            pressure=bell(rng, 145, 7),
            access=number,
        )
        add_patient(load, rng, patient, infection)
        add_prescriptions(load, rng, patient, until)
        patients.append(patient)
    return patients


def add_patient(load: Loader, rng: random.Random, patient: Patient, infection: str) -> None:
    """The person and the access."""
    female = rng.random() < 0.42
    birth = patient.since - timedelta(days=int(bell(rng, 56, 9) * 365.25))
    number = patient.number
    created = stamp(datetime(patient.since.year, patient.since.month, patient.since.day, 9))
    load.add(
        "patients",
        number,
        f"T{number:07d}",
        person(rng, female),
        "F" if female else "M",
        birth,
        maybe(rng, 0.02, identity_number(birth, number, female)),
        maybe(rng, 0.06, f"000{10000000 + number}"),
        maybe(rng, 0.08, weighted(rng, (("A", 28), ("B", 27), ("O", 35), ("AB", 10)))),
        weighted(rng, DISEASES) or None,
        infection,
        patient.since,
        "active",
        created,
        created,
    )
    kind = weighted(rng, (("AVF", 74), ("TCC", 18), ("AVG", 7), ("NCC", 1)))
    made = patient.since - timedelta(days=int(30 + rng.random() * 60))
    load.add("vascular_access", number, number, kind, SITES[kind], made, None)


def add_prescriptions(load: Loader, rng: random.Random, patient: Patient, until: date) -> None:
    """One that has run out for about half of the patients, and the valid one."""
    changed = patient.since + timedelta(days=(until - patient.since).days // 2)
    periods: list[tuple[date, date | None]] = [(patient.since, None)]
    if rng.random() < 0.5 and changed > patient.since:
        periods = [(patient.since, changed - timedelta(days=1)), (changed, None)]
    for order, (first, last) in enumerate(periods):
        # The valid one has the patient's number, older ones a number behind all of those.
        number = patient.number if last is None else 100000 + patient.number
        dry = maybe(rng, 0.03, f"{patient.dry_weight + (0.5 if order == 0 and last else 0):.2f}")
        load.add(
            "prescriptions",
            number,
            patient.number,
            1 + int(rng.random() * 10),
            weighted(rng, (("HD", 70), ("HDF", 22), ("HD+HP", 8))),
            pick(rng, DIALYZERS),
            240,
            200 + 10 * int(rng.random() * 9),
            500,
            pick(rng, ("1.25", "1.50", "1.50", "1.75")),
            pick(rng, ("LMWH", "LMWH", "LMWH", "UFH", "NONE")),
            dry,
            3,
            first,
            last,
        )


def add_consumables(load: Loader, rng: random.Random, patients: int) -> None:
    """Stock for about two weeks of the centre."""
    for number, (code, name, specification, unit) in enumerate(CONSUMABLES, 1):
        stock = int(patients * 6 * (0.8 + rng.random()))
        load.add("consumables", number, code, name, specification, unit, stock, patients)


class Days:
    """Makes the sessions, measurements and laboratory results of one day after the other."""

    def __init__(self, load: Loader, rng: random.Random, patients: list[Patient], nurses: int, until: date):
        """Begin before the first day."""
        self.load, self.rng, self.patients, self.nurses, self.until = load, rng, patients, nurses, until
        self.session = 0
        self.queue = 0

    def day(self, today: date) -> None:
        """Every patient whose weekday it is; from `until` on sessions are booked only."""
        weekday = today.weekday()
        for patient in self.patients:
            if weekday in patient.weekdays and today >= patient.since:
                self.session += 1
                nurse = 11 + int(self.rng.random() * self.nurses)
                # About one session in 700 was never closed: the patient did not come, nobody wrote it down.
                if today >= self.until or self.rng.random() < 0.0015:
                    self.booked(patient, today)
                else:
                    self.closed(patient, today, nurse)
        if today < self.until:
            self.laboratory(today)

    def booked(self, patient: Patient, today: date) -> None:
        """A session that has not begun."""
        row = [self.session, patient.number, patient.number, patient.machine, patient.access, None, today]
        made = datetime(today.year, today.month, today.day, 10) - timedelta(days=7)
        self.load.add("sessions", *row, patient.shift, "booked", *[None] * 7, stamp(made))

    def closed(self, patient: Patient, today: date, nurse: int) -> None:
        """A whole session with its measurements."""
        rng = self.rng
        hour, minute = SHIFT_STARTS[patient.shift]
        midnight = datetime(today.year, today.month, today.day)
        start = midnight + timedelta(hours=hour, minutes=minute + int(rng.random() * 25))
        gain = max(0.4, bell(rng, 2.2, 0.5))
        goal = int(gain * 10) * 100
        volume = max(0, goal + int(bell(rng, 0, 100)))
        self.load.add(
            "sessions",
            *(self.session, patient.number, patient.number, patient.machine, patient.access, nurse, today),
            *(patient.shift, "closed", stamp(start), stamp(start + timedelta(minutes=240))),
            maybe(rng, 0.03, f"{patient.dry_weight + gain:.2f}"),
            maybe(rng, 0.07, f"{patient.dry_weight + gain - volume / 1000:.2f}"),
            maybe(rng, 0.02, goal),
            maybe(rng, 0.04, volume),
            maybe(rng, 0.65, f"{bell(rng, 1.38, 0.12):.2f}"),
            stamp(midnight - timedelta(days=7, hours=-10)),
        )
        self.measurements(patient, start, nurse, volume)
        self.usage()

    def measurements(self, patient: Patient, start: datetime, nurse: int, volume: int) -> None:
        """Every half hour; pressure falls while water is taken out. A set is sometimes forgotten."""
        rng, session = self.rng, self.session
        for step in range(9):
            if step and rng.random() < 0.04:
                continue
            systolic = int(bell(rng, patient.pressure - 2.2 * step, 8))
            moment = start + timedelta(minutes=30 * step)
            # Written out, not through Loader.add: these are nine of ten rows and set the generator's speed.
            self.load.rows["vitals"].append(
                f"{session}\t{moment:%Y-%m-%d %H:%M}+08\t{systolic}\t{int(systolic * 0.56)}"
                f"\t{66 + int(rng.random() * 24)}\t{105 + int(rng.random() * 60)}\t{90 + int(rng.random() * 70)}"
                f"\t{220 + 10 * int(rng.random() * 5)}\t{volume // 4}\t{volume * step // 8}"
                f"\t{NULL if step % 4 else f'{36.2 + rng.random() * 0.7:.1f}'}\t{nurse}"
            )
        if len(self.load.rows["vitals"]) >= FLUSH_ROWS:
            self.load.flush(["vitals"])

    def usage(self) -> None:
        """Dialyzer, line, needles, and mostly heparin."""
        lot = maybe(self.rng, 0.05, f"L{1000 + self.session // 500}")
        for consumable, quantity in ((1, 1), (2, 1), (3, 2), (7, 1)):
            if consumable != 7 or self.rng.random() < 0.6:
                self.load.add("consumable_usage", self.session, consumable, lot, quantity)

    def laboratory(self, today: date) -> None:
        """The monthly blood of those whose day it is; the most recent ones came by the interface."""
        for patient in self.patients:
            if today >= patient.since and (today.toordinal() + patient.number) % SPECIMEN_EVERY_DAYS == 0:
                self.specimen(patient, today)

    def specimen(self, patient: Patient, today: date) -> None:
        """Ten items; some reports are late, and those of the last day are mostly not there yet."""
        rng = self.rng
        number = f"S{today:%y%m%d}{patient.number:05d}"
        taken = datetime(today.year, today.month, today.day, 7, int(rng.random() * 60))
        hours = 3 + rng.random() * 6 + (40 if rng.random() < 0.03 else 0)
        reported = taken + timedelta(hours=hours)
        recent = (self.until - today).days <= 14
        rows = []
        for code, name, unit, low, high, centre, spread in LAB_ITEMS:
            value = max(0.1, bell(rng, centre, spread))
            flag = "L" if value < low else "H" if value > high else "N"
            open_items = 0.7 if (self.until - today).days <= 1 else 0.004
            missing = rng.random() < open_items
            rows.append((code, name, None if missing else f"{value:.2f}", unit, f"{low}-{high}", flag))
        queue = self.message(patient, number, taken, reported, rows) if recent else None
        for code, name, value, unit, reference, flag in rows:
            final = value is not None
            result = (value, unit, reference, flag if final else None)
            times = (stamp(taken), stamp(reported) if final else None)
            self.load.add("lab_results", patient.number, number, code, name, *result, *times, queue)

    def message(self, patient: Patient, number: str, taken: datetime, reported: datetime, rows: Any) -> int:
        """The ORU^R01 that brought the results."""
        self.queue += 1
        control = f"G{self.queue:08d}"
        lines = [
            f"MSH|^~\\&|LIS|LAB|DIALYSIS|HD|{reported:%Y%m%d%H%M%S}||ORU^R01|{control}|P|2.4||||||UNICODE UTF-8",
            f"PID|1||T{patient.number:07d}^^^HIS",
            f"OBR|1||{number}|HD-MONTHLY^透析月检|||{taken:%Y%m%d%H%M%S}|||||||||||||||{reported:%Y%m%d%H%M%S}",
        ]
        for order, (code, name, value, unit, reference, flag) in enumerate(rows, 1):
            known, status = ("", "I") if value is None else (value, "F")
            lines.append(
                f"OBX|{order}|NM|{code}^{name}||{known}|{unit}|{reference}|{flag if known else ''}|||{status}"
            )
        payload = escape("\r".join(lines) + "\r")
        moments = (stamp(reported), stamp(reported + timedelta(seconds=12)))
        self.load.add(
            "interface_queue", self.queue, "LIS", control, "ORU^R01", payload, "processed", 1, *moments
        )
        return self.queue


def dates(start: date, until: date) -> Iterator[date]:
    """The days with finished sessions, and a week of bookings from `until` on."""
    for offset in range((until - start).days + 7):
        yield start + timedelta(days=offset)


def generate(output: TextIO, patients: int, days: int, seed: int, until: date) -> None:
    """Write the whole script."""
    rng = random.Random(seed)  # noqa: S311  (repeatable, nothing secret)
    load = Loader(output)
    start = until - timedelta(days=days)
    nurses = max(6, patients // 8)
    output.write(
        "\\set ON_ERROR_STOP on\nSET client_encoding = 'UTF8';\nSET synchronous_commit = off;\n"
        "SET client_min_messages = warning;\nBEGIN;\n"
        # The load is no change that a person made: neither audit lines nor row-by-row key checks.
        "SET LOCAL session_replication_role = replica;\n"
    )
    add_staff(load, rng, nurses)
    people = make_patients(load, rng, patients, start, until)
    add_consumables(load, rng, patients)
    work = Days(load, rng, people, nurses, until)
    for today in dates(start, until):
        work.day(today)
    load.flush()
    for table, column in IDENTITIES.items():
        output.write(
            f"SELECT setval(pg_get_serial_sequence('dialysis.{table}', '{column}'), max({column}))"  # noqa: S608  (names of our own)
            f" FROM dialysis.{table} HAVING max({column}) IS NOT NULL \\g /dev/null\n"
        )
    output.write(f"{CHECK_REFERENCES}COMMIT;\n")
    # Or VACUUM's fresh row counts would be doubled by those of the load, which are reported late.
    output.write("SELECT pg_stat_force_next_flush() \\g /dev/null\nVACUUM (ANALYZE);\n")


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Synthetic hemodialysis data as a psql script.")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--patients", type=int, help="instead of the size's number")
    parser.add_argument("--days", type=int, help="instead of the size's number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--until",
        type=date.fromisoformat,
        default=date(2026, 11, 1),
        help="first day without finished sessions",
    )
    options = parser.parse_args(argv)
    patients, days = SIZES[options.size]
    patients, days = options.patients or patients, options.days or days
    if not 1 <= patients < 50000 or days < 1:
        parser.error("give 1 to 49999 patients and at least one day")
    sys.stdout.reconfigure(encoding="utf-8")
    generate(sys.stdout, patients, days, options.seed, options.until)
    return 0


if __name__ == "__main__":
    sys.exit(main())
