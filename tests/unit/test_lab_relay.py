"""The relay: what goes in comes out, later, and turns are counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lab import relay
from lab.shell import LabError


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    while data := connection.recv(65536):
                        connection.sendall(data)
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def call(line: relay.Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.listen_port), timeout=5)


def ask(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    answer = b""
    while len(answer) < len(data):
        answer += connection.recv(65536)
    return answer


def test_bytes_arrive_whole_and_late_by_both_ways(echo: int):
    with relay.running("127.0.0.1", echo, 0.05) as line, call(line) as connection:
        started = time.monotonic()
        assert ask(connection, b"x" * 200_000) == b"x" * 200_000
        assert time.monotonic() - started >= 0.1
    assert line.count.sent_bytes == line.count.received_bytes == 200_000


def test_each_question_is_a_round_trip(echo: int):
    with relay.running("127.0.0.1", echo, 0) as line, call(line) as connection:
        for _ in range(5):
            ask(connection, b"?")
    assert line.count.connections == 1
    assert line.count.round_trips == 5


def test_the_end_of_the_relay_cuts_the_line(echo: int):
    with relay.running("127.0.0.1", echo, 0) as line:
        connection = call(line)
        ask(connection, b"?")
    with connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_a_target_that_does_not_answer_refuses_the_caller():
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    # The refusal may come while the call is still being made.
    with (
        relay.running("127.0.0.1", closed, 0) as line,
        pytest.raises(ConnectionResetError),
        call(line) as connection,
    ):
        connection.recv(1)


def test_a_port_in_use_is_said_in_one_line(echo: int):
    with pytest.raises(LabError, match="cannot listen"), relay.running("127.0.0.1", echo, 0, echo):
        pass


def test_a_line_is_cut_from_another_thread_and_may_be_cut_twice(echo: int):
    with relay.running("127.0.0.1", echo, 0) as line, call(line) as connection:
        assert ask(connection, b"x") == b"x"
        line.cut_now()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        line.cut_now()
