"""The web service: parse, check, call the store, answer. gunicorn runs create_app()."""

from __future__ import annotations

import logging
import socket
import time
from datetime import datetime
from logging.handlers import WatchedFileHandler
from typing import Any

from flask import Flask, Response, g, jsonify, redirect, render_template, request

from . import VERSION, hl7, store, validation
from .configuration import load
from .database import Database, DatabaseUnavailable, OutcomeUnknown
from .report import masked, summarize
from .validation import HOSPITAL_TIME, Invalid

log = logging.getLogger("dialysis.web")
Answer = tuple[Response, int]


def create_app() -> Flask:
    """Build the application from the configuration file."""
    configuration = load()
    log_to(configuration.log_file)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    app.json.ensure_ascii = False
    app.jinja_env.filters["masked"] = masked
    app.extensions["dialysis"] = Database(configuration)
    add_pages(app)
    add_sessions(app)
    add_interface(app)
    add_errors(app)
    add_log(app)
    return app


def log_to(path: str) -> None:
    """Log into a file that logrotate may move away, or to the journal when none is named."""
    handler: logging.Handler = WatchedFileHandler(path, encoding="utf-8") if path else logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger("dialysis")
    root.setLevel(logging.INFO)
    root.handlers = [handler]


def now() -> datetime:
    """This moment at the hospital."""
    return datetime.now(HOSPITAL_TIME)


def add_pages(app: Flask) -> None:
    """Health and the daily report."""
    database: Database = app.extensions["dialysis"]

    @app.get("/")
    def home() -> Any:
        return redirect("/report/daily", code=302)

    @app.get("/healthz")
    def healthz() -> Answer:
        found: dict[str, Any] = {"release": VERSION, "host": socket.gethostname()}
        try:
            found |= database.run("healthz", store.health)
        except (DatabaseUnavailable, OutcomeUnknown):
            return jsonify(**found, status="fail", reason="数据库不可用"), 503
        healthy = not found["read_only"]
        return jsonify(**found, status="ok" if healthy else "fail"), 200 if healthy else 503

    @app.get("/report/daily")
    def daily() -> str:
        text = request.args.get("date")
        planned = validation.day(text) if text else now().date()
        rows = database.run("report", lambda cursor: store.day(cursor, planned))
        return render_template(
            "daily.html", day=planned, rows=rows, summary=summarize(rows), made=now(), version=VERSION
        )


def add_sessions(app: Flask) -> None:
    """Book, record, close, look up."""
    database: Database = app.extensions["dialysis"]

    def who() -> str:
        return validation.operator(request.headers.get("X-Operator"))

    def body() -> Any:
        return request.get_json(force=True, silent=True)

    @app.post("/sessions")
    def book() -> Answer:
        values, operator = validation.booking(body()), who()
        booked, new = database.run(operator, lambda cursor: store.book(cursor, values))
        return jsonify(booked), 201 if new else 200

    @app.get("/sessions/<int:session_id>")
    def show(session_id: int) -> Answer:
        return jsonify(database.run("lookup", lambda cursor: store.session(cursor, session_id))), 200

    @app.post("/sessions/<int:session_id>/vitals")
    def vitals(session_id: int) -> Answer:
        values, operator = validation.vitals(body(), now()), who()
        stored = database.run(
            operator, lambda cursor: store.record_vitals(cursor, session_id, values, operator)
        )
        return jsonify(stored), 201

    @app.post("/sessions/<int:session_id>/close")
    def close(session_id: int) -> Answer:
        values, operator = validation.closing(body() or {}), who()
        moment = now()
        return jsonify(
            database.run(operator, lambda cursor: store.close(cursor, session_id, values, moment))
        ), 200


def add_interface(app: Flask) -> None:
    """The laboratory's messages: into the queue, then the answer; the sender repeats what got no AA."""
    database: Database = app.extensions["dialysis"]

    def answer(code: str, control_id: str, status: int, text: str = "") -> Response:
        body = hl7.acknowledge(code, control_id, text, now())
        return Response(body, status=status, content_type="application/hl7-v2; charset=utf-8")

    @app.post("/interface/hl7")
    def receive() -> Response:
        try:
            message = request.get_data().decode("utf-8")
            header = hl7.header(message)
        except UnicodeDecodeError:
            return answer("AE", "", 400, "消息须为 UTF-8 编码")
        except hl7.Hl7Error as error:
            return answer("AE", "", 400, str(error))
        try:
            new = database.run("interface", lambda cursor: store.enqueue(cursor, header, message))
        except (DatabaseUnavailable, OutcomeUnknown):
            return answer("AR", header.control_id, 503, "暂时不能接收，请重发")
        return answer("AA", header.control_id, 200, "" if new else "重复消息，已接收过")


def add_errors(app: Flask) -> None:
    """Every refusal is a short Chinese sentence and the right status."""

    def refusal(status: int) -> Any:
        return lambda error: (jsonify(error=str(error)), status)

    app.register_error_handler(Invalid, refusal(422))
    app.register_error_handler(store.NotFound, refusal(404))
    app.register_error_handler(store.Conflict, refusal(409))

    @app.errorhandler(DatabaseUnavailable)
    def unavailable(_error: Exception) -> Answer:
        return jsonify(error="数据库不可用，请稍后再试"), 503

    @app.errorhandler(OutcomeUnknown)
    def unknown(_error: Exception) -> Answer:
        return jsonify(error="结果未知，请用同一请求号重试"), 503


def add_log(app: Flask) -> None:
    """One line a request: who, what, result, time. Never a patient."""

    @app.before_request
    def start() -> None:
        g.started = time.monotonic()

    @app.after_request
    def write(response: Response) -> Response:
        # The balancer and the inspection ask for health all the time; only its failure is news.
        if request.path != "/healthz" or response.status_code != 200:
            spent = (time.monotonic() - g.started) * 1000
            operator = request.headers.get("X-Operator", "-")[:20]
            log.info(
                "%s %s %s %d %.0fms",
                ascii(operator),
                request.method,
                request.path,
                response.status_code,
                spent,
            )
        return response
