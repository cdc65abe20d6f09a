"""Every statement of the service; each function is one unit of work on a cursor."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from . import hl7
from .alerts import alerts
from .database import Cursor
from .validation import VITALS

# First key of the advisory locks on (date, shift); the number itself means nothing.
SLOT_LOCK = 20260301

FREE_MACHINE = """
    SELECT m.machine_id FROM machines m
    WHERE m.status = 'in_service' AND m.zone = %(zone)s
      AND NOT EXISTS (SELECT FROM sessions s
                      WHERE s.machine_id = m.machine_id AND s.planned_date = %(date)s
                        AND s.shift = %(shift)s AND s.state <> 'closed')
    ORDER BY m.machine_id LIMIT 1
"""
PATIENT = """
    SELECT p.infection, r.prescription_id,
           (SELECT max(a.access_id) FROM vascular_access a
            WHERE a.patient_id = p.patient_id AND a.removed_on IS NULL) AS access_id
    FROM patients p LEFT JOIN prescriptions r ON r.patient_id = p.patient_id AND r.valid_to IS NULL
    WHERE p.patient_id = %s AND p.status = 'active'
"""
BOOK = """
    INSERT INTO sessions (patient_id, prescription_id, machine_id, access_id, planned_date, shift, client_ref)
    VALUES (%(patient_id)s, %(prescription_id)s, %(machine_id)s, %(access_id)s, %(date)s, %(shift)s,
            %(client_ref)s)
    ON CONFLICT DO NOTHING
    RETURNING session_id, machine_id, state
"""
RECORD_VITALS = """
    INSERT INTO vitals (session_id, measured_at, systolic, diastolic, heart_rate, venous_pressure,
                        transmembrane_pressure, blood_flow, uf_rate, uf_total, temperature, nurse_id, note)
    VALUES (%(session_id)s, %(measured_at)s, %(systolic)s, %(diastolic)s, %(heart_rate)s, %(venous_pressure)s,
            %(transmembrane_pressure)s, %(blood_flow)s, %(uf_rate)s, %(uf_total)s, %(temperature)s,
            (SELECT staff_id FROM staff WHERE staff_no = %(operator)s), %(note)s)
    ON CONFLICT DO NOTHING
    RETURNING vital_id
"""
DAY = """
    SELECT s.session_id, s.shift, s.state, s.pre_weight, s.post_weight, s.uf_volume_ml, s.ktv,
           p.name, p.medical_record_no, m.bed_no, r.mode,
           (SELECT count(*) FROM vitals v WHERE v.session_id = s.session_id) AS vitals
    FROM sessions s
    JOIN patients p USING (patient_id)
    JOIN machines m USING (machine_id)
    JOIN prescriptions r USING (prescription_id)
    WHERE s.planned_date = %s
    ORDER BY s.shift, m.bed_no, s.session_id
"""
WAITING = """
    SELECT queue_id, payload, attempts FROM interface_queue
    WHERE state = 'received' AND queue_id > %s ORDER BY queue_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# A preliminary result never overwrites a final one; a corrected one does.
STORE_RESULT = """
    INSERT INTO lab_results AS old (patient_id, specimen_no, item_code, item_name, value, unit, reference, flag,
                                    sampled_at, reported_at, queue_id)
    VALUES (%(patient_id)s, %(specimen_no)s, %(item_code)s, %(item_name)s, %(value)s, %(unit)s, %(reference)s,
            %(flag)s, %(sampled_at)s, %(reported_at)s, %(queue_id)s)
    ON CONFLICT (specimen_no, item_code) DO UPDATE
    SET value = excluded.value, unit = excluded.unit, reference = excluded.reference, flag = excluded.flag,
        reported_at = excluded.reported_at, queue_id = excluded.queue_id
    WHERE old.patient_id = excluded.patient_id AND excluded.value IS NOT NULL
"""


class NotFound(Exception):  # noqa: N818
    """There is no such thing."""


class Conflict(Exception):  # noqa: N818
    """It cannot be done in the present state."""


def health(cursor: Cursor) -> dict[str, Any]:
    """The versions that the database is at; a standby cannot take a booking, so say it."""
    cursor.execute(
        "SELECT (SELECT version FROM schema_version ORDER BY applied_at DESC LIMIT 1) AS schema,"
        " (SELECT max(version) FROM knowledge) AS knowledge, pg_is_in_recovery() AS read_only"
    )
    return dict(cursor.fetchone())


def book(cursor: Cursor, values: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Book a session on a free machine of the patient's zone. The flag tells a new one from a repeat."""
    if values["client_ref"] is not None:
        cursor.execute(
            "SELECT session_id, machine_id, state FROM sessions WHERE client_ref = %s",
            (values["client_ref"],),
        )
        known = cursor.fetchone()
        if known:
            return dict(known), False
    cursor.execute(PATIENT, (values["patient_id"],))
    patient = cursor.fetchone()
    if patient is None:
        raise NotFound("没有此在透患者")
    if patient["prescription_id"] is None:
        raise Conflict("患者没有有效处方")
    # Bookings of one shift one after the other: the free machine that is found stays free.
    slot = values["date"].toordinal() * 10 + values["shift"]
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (SLOT_LOCK, slot))
    cursor.execute(FREE_MACHINE, {**values, "zone": patient["infection"]})
    machine = cursor.fetchone()
    if machine is None:
        raise Conflict("该班次没有空闲机位")
    cursor.execute(BOOK, {**values, **patient, **machine})
    booked = cursor.fetchone()
    if booked is None:
        raise Conflict("患者在该班次已有预约，或请求号正在使用")
    return dict(booked), True


def locked_session(cursor: Cursor, session_id: int) -> dict[str, Any]:
    """A session that nobody else alters until this transaction ends."""
    cursor.execute("SELECT * FROM sessions WHERE session_id = %s FOR UPDATE", (session_id,))
    session = cursor.fetchone()
    if session is None:
        raise NotFound("没有此次治疗")
    return dict(session)


def session(cursor: Cursor, session_id: int) -> dict[str, Any]:
    """One session as clients may see it, with the number of its measurements."""
    cursor.execute(
        "SELECT s.session_id, s.planned_date, s.shift, s.state, s.machine_id, s.started_at, s.ended_at,"
        " (SELECT count(*) FROM vitals v WHERE v.session_id = s.session_id) AS vitals"
        " FROM sessions s WHERE s.session_id = %s",
        (session_id,),
    )
    found = cursor.fetchone()
    if found is None:
        raise NotFound("没有此次治疗")
    return {key: str(value) if isinstance(value, date) else value for key, value in found.items()}


def record_vitals(cursor: Cursor, session_id: int, values: dict[str, Any], operator: str) -> dict[str, Any]:
    """Add one set of measurements; the first one starts the session."""
    found = locked_session(cursor, session_id)
    if found["state"] == "closed":
        raise Conflict("治疗已结束，不能再录入")
    if found["state"] == "booked":
        cursor.execute(
            "UPDATE sessions SET state = 'running', started_at = %s, pre_weight = %s,"
            " nurse_id = (SELECT staff_id FROM staff WHERE staff_no = %s) WHERE session_id = %s",
            (values["measured_at"], values.get("pre_weight"), operator, session_id),
        )
    elif values["measured_at"] < found["started_at"]:
        raise Conflict("测量时间早于上机时间")
    row = {**dict.fromkeys(VITALS), **values, "session_id": session_id, "operator": operator}
    cursor.execute(RECORD_VITALS, row)
    recorded = cursor.fetchone()
    if recorded is None:
        raise Conflict("该时间已有监测记录")
    cursor.execute(
        "SELECT * FROM knowledge WHERE version = (SELECT max(version) FROM knowledge) ORDER BY code"
    )
    return {**recorded, "alerts": alerts(values, cursor.fetchall())}


def close(cursor: Cursor, session_id: int, values: dict[str, Any], now: datetime) -> dict[str, Any]:
    """End a running session. Ending an ended one again changes nothing."""
    found = locked_session(cursor, session_id)
    if found["state"] == "booked":
        raise Conflict("尚未上机，不能下机")
    if found["state"] == "running":
        row = {"post_weight": None, "uf_volume_ml": None, "ktv": None, **values}
        cursor.execute(
            "UPDATE sessions SET state = 'closed', ended_at = greatest(%(now)s, started_at),"
            " post_weight = %(post_weight)s, uf_volume_ml = %(uf_volume_ml)s, ktv = %(ktv)s"
            " WHERE session_id = %(session_id)s",
            {**row, "now": now, "session_id": session_id},
        )
    return {"session_id": session_id, "state": "closed"}


def day(cursor: Cursor, planned: date) -> list[dict[str, Any]]:
    """The sessions of a day for the report."""
    cursor.execute(DAY, (planned,))
    return [dict(row) for row in cursor.fetchall()]


def enqueue(cursor: Cursor, header: hl7.Header, payload: str) -> bool:
    """Put a message into the queue; False when the same message is there already."""
    cursor.execute(
        "INSERT INTO interface_queue (source, control_id, message_type, payload) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (source, control_id) DO NOTHING RETURNING queue_id",
        (header.source, header.control_id, header.message_type, payload),
    )
    return cursor.fetchone() is not None


def next_waiting(cursor: Cursor, after: int) -> dict[str, Any] | None:
    """The oldest waiting message behind a number that no other worker holds."""
    cursor.execute(WAITING, (after,))
    row = cursor.fetchone()
    return dict(row) if row else None


def store_report(cursor: Cursor, queue_id: int, report: hl7.Report) -> None:
    """Store the results of a message and mark it processed."""
    cursor.execute(
        "SELECT patient_id FROM patients WHERE medical_record_no = %s", (report.medical_record_no,)
    )
    patient = cursor.fetchone()
    if patient is None:
        raise NotFound("病案号不存在")
    for result in report.results:
        row = {
            **vars(result),
            "patient_id": patient["patient_id"],
            "specimen_no": report.specimen_no,
            "sampled_at": report.sampled_at,
            "reported_at": None if result.value is None else report.reported_at,
            "queue_id": queue_id,
        }
        cursor.execute(STORE_RESULT, row)
    cursor.execute(
        "UPDATE interface_queue SET state = 'processed', attempts = attempts + 1, error = NULL,"
        " processed_at = now() WHERE queue_id = %s",
        (queue_id,),
    )


def mark_failed(cursor: Cursor, queue_id: int, error: str, *, final: bool) -> None:
    """Remember why a message could not be stored; final ones wait for a person."""
    cursor.execute(
        "UPDATE interface_queue SET attempts = attempts + 1, error = %s,"
        " state = CASE WHEN %s THEN 'failed' ELSE 'received' END,"
        " processed_at = CASE WHEN %s THEN now() END WHERE queue_id = %s",
        (error[:500], final, final, queue_id),
    )
