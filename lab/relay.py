"""A TCP relay that makes a line long: every byte is late by the same time each way, and turns are counted.

    python -m lab relay --listen 2222 --to 10.213.77.11:22 --delay-ms 50

One `turn` is a change of direction; a round trip is two of them. Killing the relay cuts the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.shell import LabError

CHUNK = 65536


@dataclass
class Count:
    """What has passed through a relay."""

    connections: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    turns: int = 0

    @property
    def round_trips(self) -> int:
        """How often an answer had to be waited for."""
        return self.turns // 2


@dataclass
class Relay:
    """A relay from a local port to a host's port."""

    target: str
    target_port: int
    delay_seconds: float
    listen_port: int = 0
    count: Count = field(default_factory=Count)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    async def serve(self) -> asyncio.Server:
        """Listen on this machine only; `listen_port` 0 takes a free port and is set to it."""
        try:
            server = await asyncio.start_server(self._connect, "127.0.0.1", self.listen_port)
        except (OSError, OverflowError) as error:
            raise LabError(
                f"cannot listen on 127.0.0.1:{self.listen_port}: {error}; 0 takes a free port"
            ) from None
        self.listen_port = server.sockets[0].getsockname()[1]
        self._loop = asyncio.get_running_loop()
        return server

    def cut(self) -> None:
        """Cut every connection, as a line is cut: without a goodbye. In the relay's own thread."""
        for writer in list(self._open):
            reset(writer)

    def cut_now(self) -> None:
        """The same from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.cut)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(self.target, self.target_port)
        except (OSError, asyncio.CancelledError):  # or the relay ends while the host does not answer
            reset(writer)
            return
        direction = [""]
        ends = {writer, far_writer}
        self._open |= ends
        await asyncio.gather(
            self._carry(reader, far_writer, "sent", direction),
            self._carry(far_reader, writer, "received", direction),
        )
        self._open -= ends

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str, direction: list[str]
    ) -> None:
        """Carry one direction: reading goes on while earlier bytes are still under way."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, data = await line.get()
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        break
                    writer.write(data)
                    await writer.drain()
            with contextlib.suppress(OSError):
                writer.close()
                await writer.wait_closed()

        arrival = asyncio.create_task(arrive())
        data = b"-"
        while data:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""
            self._note(way, len(data), direction)
            line.put_nowait((time.monotonic() + self.delay_seconds, data))
        await arrival

    def _note(self, way: str, size: int, direction: list[str]) -> None:
        if size == 0:
            return
        if direction[0] != way:
            direction[0] = way
            self.count.turns += 1
        if way == "sent":
            self.count.sent_bytes += size
        else:
            self.count.received_bytes += size


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset; a plain close would tell the other side that all had been said."""
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def running(target: str, target_port: int, delay_seconds: float, listen_port: int = 0) -> Iterator[Relay]:
    """A relay in the background for the length of a `with` block; its end cuts every connection."""
    relay = Relay(target, target_port, delay_seconds, listen_port)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(relay.serve(), loop).result(timeout=10)
        try:
            yield relay
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(relay.cut)
            asyncio.run_coroutine_threadsafe(finish(), loop).result(timeout=10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def finish() -> None:
    """Wait until the tasks of this loop have seen the cut; one that waits for a host's answer is not waited for."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    held = (await asyncio.wait(tasks, timeout=2))[1] if tasks else set()
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


def main(listen: int, target: str, target_port: int, delay_seconds: float) -> None:
    """Relay until interrupted, then say what has passed."""
    with running(target, target_port, delay_seconds, listen) as relay:
        print(f"lab: relaying 127.0.0.1:{relay.listen_port} to {target}:{target_port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        count = relay.count
    print(
        f"lab: {count.connections} connections, {count.sent_bytes} bytes sent, "
        f"{count.received_bytes} bytes received, {count.round_trips} round trips"
    )
