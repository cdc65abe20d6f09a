"""Work that may hang, done in forked processes that can be given up.

A statvfs on a dead NFS mount blocks in the kernel, where no exception and no thread can reach it. So a *lane* is a
forked child that works through a list of names and sends each answer through a pipe. A name that overruns its limit
costs its own answer only: the child is given up and a fresh one goes on with the rest."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, Callable, Dict, List, Sequence, Tuple

Work = Callable[[str], Any]
Limit = Callable[[str], float]
GRACE = 0.3  # seconds that a child has to kill its commands once it is told to end


class Stopped(BaseException):
    """Raised in a child that is told to end, so that every `finally` on the way out still runs."""


class Lane:
    """One child and the names that it has not answered yet."""

    def __init__(self, names: Sequence[str]) -> None:
        self.waiting = list(names)
        self.pid = 0
        self.pipe = -1
        self.until = 0.0
        self._buffer = b""

    def start(self, work: Work, limit: Limit, end: float) -> None:
        """Fork a child for what is waiting."""
        receiving, sending = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(receiving)
                _work_off(self.waiting, work, sending, end)
            finally:
                os._exit(0)
        os.close(sending)
        self.pipe = receiving
        self._buffer = b""
        self._set_limit(limit, end)

    def _set_limit(self, limit: Limit, end: float) -> None:
        self.until = min(end, time.monotonic() + limit(self.waiting[0])) if self.waiting else end

    def receive(self, answers: Dict[str, Any], limit: Limit, end: float) -> bool:
        """Take what the child has sent; False when it has closed its pipe."""
        data = os.read(self.pipe, 1 << 20)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            answers[self.waiting.pop(0)] = json.loads(line)
            self._set_limit(limit, end)
        return bool(data)

    def leave(self) -> None:
        """Tell the child to end; it is reaped later, or never when the kernel holds it."""
        os.close(self.pipe)
        self.pipe = -1
        _signal(self.pid, signal.SIGTERM)


def supervise(
    lanes: Sequence[Sequence[str]], work: Work, limit: Limit, seconds: float
) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """The answers of work(name) by name, and the reason for each name without one. Takes at most `seconds`."""
    end = time.monotonic() + seconds
    answers: Dict[str, Any] = {}
    silent: Dict[str, str] = {}
    running = [Lane(names) for names in lanes if names]
    started: List[int] = []

    def go_on(lane: Lane) -> None:
        """A fresh child for the rest of the lane, if there is a rest and time for it."""
        if lane.waiting and time.monotonic() < end:
            lane.start(work, limit, end)
            started.append(lane.pid)
            return
        silent.update((name, f"not begun: the time limit of {seconds:g} s was over") for name in lane.waiting)
        running.remove(lane)

    try:
        for lane in list(running):
            go_on(lane)
        while running:
            pause = max(0.0, min(lane.until for lane in running) - time.monotonic())
            ready = select.select([lane.pipe for lane in running], [], [], pause)[0]
            for lane in list(running):
                reason = _progress(lane, lane.pipe in ready, answers, limit, end)
                if reason is None:
                    continue
                lane.leave()
                if lane.waiting:
                    silent[lane.waiting.pop(0)] = reason
                go_on(lane)
    finally:
        for lane in running:
            if lane.pipe >= 0:
                lane.leave()
        _reap(started)
    return answers, silent


def _progress(lane: Lane, ready: bool, answers: Dict[str, Any], limit: Limit, end: float) -> Any:
    """None while all is well, else why the lane's present child is over."""
    until = lane.until
    if ready:
        closed = not lane.receive(answers, limit, end)
        return "its process ended without an answer" if closed or not lane.waiting else None
    if time.monotonic() < until:
        return None
    over = "no answer when the whole time limit was over"
    return f"no answer within {limit(lane.waiting[0]):g} s" if until < end else over


def _work_off(names: Sequence[str], work: Work, pipe: int, end: float) -> None:
    """The child: answer each name. It keeps nothing open but its pipe, or whoever waits for an end waits for it."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop)
    # Should the parent be killed, the child still ends in time.
    signal.setitimer(signal.ITIMER_REAL, max(0.1, end - time.monotonic() + GRACE))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, 1024)
    for name in names:
        message = memoryview(json.dumps(work(name)).encode() + b"\n")
        while message:
            message = message[os.write(pipe, message) :]


def _stop(_number: int, _frame: Any) -> None:
    raise Stopped


def _reap(started: Sequence[int]) -> None:
    """Collect the children; what does not end after a moment is killed, and left when even that does not help."""
    for pid in _wait(started):
        _signal(pid, signal.SIGKILL)
    _wait(started)


def _wait(started: Sequence[int]) -> List[int]:
    """Those that are still there after a moment."""
    left, until = list(started), time.monotonic() + GRACE
    while True:
        left = [pid for pid in left if not _ended(pid)]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.002)


def _ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
