"""Keeps a store's maintenance process alive while a bot has the store open, and takes it away afterwards.

One process a root does the work; it holds the root's maintenance lock. Where it is held already - by the child of
another bot, or by ``hybridstore run`` - this supervisor stands by and looks again every few seconds, so that the work
goes on soon after the other ends.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from hybridstore.config import Settings
from hybridstore.operations.condition import describe, is_maintained, maintenance_status, read_condition
from hybridstore.operations.launch import EXIT_STANDBY, Job, cut_life_line, start_child
from hybridstore.records import Record

_LOG_LINES = 20
_KILL_AFTER_S = 5.0

State = Literal["starting", "running", "standby", "failed", "off"]


class Pace(Record, frozen=True, gc=False):
    """How a supervisor waits, seconds.

    Attributes:
        look_every_s: While another does the work: between looks whether it still does.
        restart_first_s: After the child died: until it is started again; twice as long after each further death.
        restart_most_s: The longest of these waits.
        healthy_after_s: A child that lived this long is not held to die again at once.
        grace_s: How long a child may take to finish its step when it is to end.
    """

    look_every_s: float = 2.0
    restart_first_s: float = 1.0
    restart_most_s: float = 300.0
    healthy_after_s: float = 600.0
    grace_s: float = 8.0


_PACE = Pace()


class Supervisor:
    """Starts, watches, restarts and ends the maintenance process of one store.

    Args:
        settings: The store, its policies and its maintenance settings.
        pace: How it waits.
    """

    def __init__(self, settings: Settings, pace: Pace = _PACE) -> None:
        self._settings = settings
        self._pace = pace
        self._root = settings.database.root
        self._process = os.getpid()
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._child_begun = datetime.now(UTC)
        self._thread = threading.Thread(target=self._run, name="hybridstore-maintenance", daemon=True)
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._state: State = "starting"
        self._restarts = 0
        self._failure: str | None = None

    def start(self) -> None:
        """Begin; the child is started a while later (``start_after_s``), from a thread of its own."""
        atexit.register(self.close)
        self._thread.start()

    def close(self) -> None:
        """End the child: it is asked, then waited for, then killed. A second call does nothing.

        In a forked child of the bot it does nothing either: the maintenance process is the parent's.
        """
        if os.getpid() != self._process:
            return
        atexit.unregister(self.close)
        with self._starting:  # no child is started after this
            self._stop.set()
            child = self._child
            if child is not None:
                cut_life_line(child)
        if self._thread.ident is None:
            return
        self._thread.join(self._pace.grace_s + 2.0 if child else None)
        if self._thread.is_alive() and child is not None:
            child.terminate()
            self._thread.join(_KILL_AFTER_S)
            child.kill()
        self._thread.join()

    def status(self) -> dict[str, Any]:
        """Return how the maintenance of the root is doing, as seen from this process.

        Returns:
            state: starting, running, standby (another process does the work), failed (the child died; it is started
            again) or off; the fields of :class:`hybridstore.operations.condition.Condition`, of the process that does
            the work; restarts, last_error and log (its last lines on standard error) of this process's child.
        """
        state = self._state
        if state == "off":
            return maintenance_status(self._root)
        condition = read_condition(self._root)
        if state == "running" and (
            condition is None
            or condition.owner_pid != self._process
            or datetime.fromisoformat(condition.started_at) < self._child_begun
        ):
            state = "starting"  # it has not told of itself yet
        found = describe(state, condition)
        found["restarts"] = self._restarts
        if state == "failed":
            found["last_error"] = self._failure
        return found | {"log": list(self._log)}

    def _run(self) -> None:
        """Watch until told to stop: wait for the root to be free, run a child, again."""
        self._stop.wait(self._settings.maintenance.start_after_s)
        wait_s = self._pace.restart_first_s
        while not self._stop.is_set():
            begun_s = time.monotonic()
            failure = self._watch_one()
            if failure is None:
                self._stop.wait(self._pace.look_every_s)
                continue
            if time.monotonic() - begun_s >= self._pace.healthy_after_s:
                wait_s = self._pace.restart_first_s
            if not self._stop.is_set():
                self._failure = failure
                self._state = "failed"
                self._stop.wait(wait_s)
                self._restarts += 1
                wait_s = min(wait_s * 2, self._pace.restart_most_s)
        self._state = "off"

    def _watch_one(self) -> str | None:
        """Run one child to its end; return what it ended of, or None where another does the work."""
        try:
            if is_maintained(self._root):
                self._state = "standby"
                return None
            child = self._start()
            if child is None:
                return None
            with child:
                return self._watch(child)
        except Exception as error:  # noqa: BLE001  whatever it is: it stands in the status, and is tried again
            return f"{type(error).__name__}: {error}"
        finally:
            self._child = None

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._starting:
            if self._stop.is_set():
                return None
            self._child_begun = datetime.now(UTC)
            job = Job(
                settings=self._settings,
                owner_pid=self._process,
                restarts=self._restarts,
                grace_s=self._pace.grace_s,
            )
            self._child = start_child(job)
            self._state = "running"
            return self._child

    def _watch(self, child: subprocess.Popen[bytes]) -> str | None:
        assert child.stderr is not None
        said = "it said nothing"
        for line in child.stderr:
            said = line.decode(errors="replace").rstrip()
            self._log.append(said)
        code = child.wait()
        if code == EXIT_STANDBY:
            self._state = "standby"
            return None
        with suppress(msgspec.DecodeError, KeyError, TypeError):
            said = msgspec.json.decode(said)["message"]
        return f"the maintenance process ended with code {code}: {said}"
