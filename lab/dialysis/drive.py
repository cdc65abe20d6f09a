#!/usr/bin/env python3
"""Keep the reference system at work, as a hospital does, while something else is done to it.

    drive.py --url https://10.213.77.41 --ca var/lab/dialysis/gate1.pem --acknowledged FILE

Books sessions at a bounded rate, records two sets of measurements in each and closes it. Every session
whose booking was acknowledged stands in FILE (session_id, client reference, time): whatever happens to the
servers, each of them must be in the database. SIGTERM or SIGINT ends it with a summary in JSON on standard
output. A request that fails is counted and repeated with the same reference, as a ward's client would do.
Bookings are spread over the next four weeks, so that there is always a free machine, although the sessions
are held at once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

DAYS_AHEAD = 28
GIVE_UP_SECONDS = 60.0
WORKERS = 4


class Failed(Exception):  # noqa: N818  (counted by its kind, not raised to a caller)
    """A request without a usable answer; the text is its kind."""


class Client:
    """One connection, kept open and made again after a failure."""

    def __init__(self, url: str, ca: Path | None, timeout: float) -> None:
        """Remember where to; the first request connects."""
        parts = urllib.parse.urlsplit(url)
        if parts.hostname is None or parts.scheme not in ("http", "https"):
            raise ValueError(f"{url} is no http or https address")
        self.secure, self.host, self.port = parts.scheme == "https", parts.hostname, parts.port
        self.timeout = timeout
        self.context = ssl.create_default_context(cafile=ca)
        self.connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send JSON; the status and the JSON of the answer. Server errors and no answer are Failed."""
        headers = {"Content-Type": "application/json", "X-Operator": "DRIVER"}
        try:
            connection = self.connected()
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        except TimeoutError:
            self.close()
            raise Failed("timeout") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Failed(type(error).__name__) from None
        if answer.status >= 500:
            raise Failed(f"http_{answer.status}")
        try:
            return answer.status, json.loads(data)
        except ValueError:
            raise Failed("not_json") from None

    def connected(self) -> http.client.HTTPConnection:
        """The connection."""
        if self.connection is None:
            if self.secure:
                self.connection = http.client.HTTPSConnection(
                    self.host, self.port, timeout=self.timeout, context=self.context
                )
            else:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        return self.connection

    def close(self) -> None:
        """Drop the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Tally:
    """What happened, for the summary; safe to use from every worker."""

    def __init__(self, acknowledged: TextIO) -> None:
        """Begin to count."""
        self.lock = threading.Lock()
        self.acknowledged = acknowledged
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.failed_at: list[datetime] = []
        self.started = datetime.now(UTC)
        self.last_booking = time.monotonic()
        self.longest_gap = 0.0

    def add(self, kind: str) -> None:
        """Count something."""
        with self.lock:
            self.counts[kind] += 1

    def failed(self, kind: str) -> None:
        """Count a failed request."""
        with self.lock:
            self.failures[kind] += 1
            self.failed_at = [*self.failed_at[:1], datetime.now(UTC)]

    def booked(self, session_id: int, reference: str) -> None:
        """Write an acknowledged booking down at once: this process may be killed, too."""
        with self.lock:
            self.counts["booked"] += 1
            self.acknowledged.write(f"{session_id}\t{reference}\t{datetime.now(UTC).isoformat()}\n")
            self.acknowledged.flush()
            self.mark_gap()
            self.last_booking = time.monotonic()

    def mark_gap(self) -> None:
        """Keep the longest time without an acknowledged booking."""
        self.longest_gap = max(self.longest_gap, time.monotonic() - self.last_booking)

    def summary(self) -> dict[str, Any]:
        """All of it."""
        with self.lock:
            self.mark_gap()
            stopped = datetime.now(UTC)
            return {
                "started": self.started.isoformat(),
                "stopped": stopped.isoformat(),
                "seconds": round((stopped - self.started).total_seconds(), 3),
                **{
                    kind: self.counts[kind]
                    for kind in ("booked", "vitals", "closed", "busy", "refused", "abandoned")
                },
                "failures": dict(sorted(self.failures.items())),
                "failures_total": self.failures.total(),
                "first_failure": self.failed_at[0].isoformat() if self.failed_at else None,
                "last_failure": self.failed_at[-1].isoformat() if self.failed_at else None,
                "longest_gap_seconds": round(self.longest_gap, 3),
            }


class Pace:
    """Hands out starting times at a fixed rate; time lost in an outage is not made up for in a burst."""

    def __init__(self, rate: float) -> None:
        """So many starts a second."""
        self.interval = 1 / rate
        self.lock = threading.Lock()
        self.next = time.monotonic()

    def wait(self, stop: threading.Event) -> bool:
        """Wait for the next start; False when it is time to end instead."""
        with self.lock:
            self.next = max(self.next + self.interval, time.monotonic())
            moment = self.next
        return not stop.wait(max(0.0, moment - time.monotonic()))


def booking(rng: random.Random, patients: int, today: date) -> dict[str, Any]:
    """A booking for anybody, some day soon."""
    day = today + timedelta(days=1 + rng.randrange(DAYS_AHEAD))
    return {
        "patient_id": 1 + rng.randrange(patients),
        "date": day.isoformat(),
        "shift": 1 + rng.randrange(3),
        "client_ref": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    }


def vitals(rng: random.Random, moment: datetime) -> dict[str, Any]:
    """One set of measurements, of a patient who is fairly well."""
    systolic = 110 + rng.randrange(50)
    return {
        "measured_at": moment.isoformat(),
        "systolic": systolic,
        "diastolic": systolic * 56 // 100,
        "heart_rate": 66 + rng.randrange(24),
        "blood_flow": 240,
        "uf_rate": 600,
    }


def persist(client: Client, tally: Tally, stop: threading.Event, path: str, body: dict[str, Any]) -> Any:
    """Repeat a request until it is answered; every failed try is counted. Gives up after a minute or at the end."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            return client.post(path, body)
        except Failed as error:
            tally.failed(str(error))
        if time.monotonic() > deadline or stop.wait(0.5):
            return None


def hold_session(
    client: Client, tally: Tally, stop: threading.Event, rng: random.Random, patients: int
) -> None:
    """Book, record twice, close."""
    wanted = booking(rng, patients, date.today())
    answer = persist(client, tally, stop, "/sessions", wanted)
    if answer is None or answer[0] not in (200, 201):
        tally.add("abandoned" if answer is None else "busy" if answer[0] == 409 else "refused")
        return
    session = answer[1]["session_id"]
    tally.booked(session, wanted["client_ref"])
    for step in range(2):
        # The times are fixed before the first try, so that a repeated request is recognised as a repeat.
        body = vitals(rng, datetime.now(UTC) + timedelta(seconds=step))
        done = persist(client, tally, stop, f"/sessions/{session}/vitals", body)
        if done is None:
            tally.add("abandoned")
            return
        tally.add("vitals" if done[0] in (201, 409) else "refused")
    done = persist(client, tally, stop, f"/sessions/{session}/close", {"uf_volume_ml": 2400})
    tally.add("abandoned" if done is None else "closed" if done[0] == 200 else "refused")


def work(options: argparse.Namespace, number: int, pace: Pace, tally: Tally, stop: threading.Event) -> None:
    """One worker: one client, one session after the other."""
    client = Client(options.url, options.ca, options.timeout)
    rng = random.Random(f"{options.seed}-{number}")  # noqa: S311  (repeatable, nothing secret)
    while pace.wait(stop):
        hold_session(client, tally, stop, rng, options.patients)
    client.close()


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the work in order."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def drive(options: argparse.Namespace) -> dict[str, Any]:
    """Work until the end is asked for or the time is over."""
    stop = threading.Event()
    with options.acknowledged.open("a", encoding="utf-8") as acknowledged, stopping(stop):
        tally, pace = Tally(acknowledged), Pace(options.rate)
        workers = [
            threading.Thread(target=work, args=(options, number, pace, tally, stop))
            for number in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        stop.wait(options.seconds)
        stop.set()
        for worker in workers:
            worker.join()
    return tally.summary()


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Keep the reference system at work.")
    parser.add_argument("--url", required=True, help="the gateway, such as https://10.213.77.41")
    parser.add_argument("--ca", type=Path, help="certificate that the gateway's one must be signed by")
    parser.add_argument("--acknowledged", type=Path, required=True, metavar="FILE", help="is appended to")
    parser.add_argument("--rate", type=float, default=5.0, help="sessions a second (default 5, at most 50)")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    parser.add_argument("--patients", type=int, default=60, help="book for patients 1 to this number")
    parser.add_argument("--timeout", type=float, default=8.0, help="of one request, in seconds")
    parser.add_argument("--seed", default=uuid.uuid4().hex, help="for a repeatable sequence of bookings")
    options = parser.parse_args(argv)
    if not 0 < options.rate <= 50 or options.patients < 1:
        parser.error("give a rate above 0 and up to 50, and at least one patient")
    return options


def main(argv: list[str] | None = None) -> int:
    """Print the summary; what it says is for the caller to judge."""
    options = parse(argv)
    try:
        summary = drive(options)
    except (OSError, ValueError) as error:
        print(f"drive: {error}", file=sys.stderr)
        return 2
    print(json.dumps(summary, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
