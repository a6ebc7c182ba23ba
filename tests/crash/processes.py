"""The processes of a campaign: movers that are killed and a reader that looks on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import msgspec

from tests.crash.mover_process import MOVE_MAX_S, Request

REPOSITORY = Path(__file__).parents[2]
_READER_PAUSE_S = 0.012


def environment() -> dict[str, str]:
    """Return the environment of children: this repository comes first on their path."""
    # OpenBLAS would start threads in the process that forks.
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}


def _start(module: str, *arguments: str, output: IO[bytes] | int, errors: IO[bytes]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.crash.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        text=True,
        encoding="utf-8",
        env=environment(),
        cwd=REPOSITORY,
    )


class Movers:
    """Runs movers one after the other, each in a process of its own.

    Args:
        errors: File that takes what movers print when they fail.
    """

    def __init__(self, errors: Path) -> None:
        self._errors = errors.open("wb")
        self._server: subprocess.Popen[str] | None = None
        if sys.platform.startswith("linux"):
            self._server = _start("mover_process", "serve", output=subprocess.PIPE, errors=self._errors)

    def run(self, request: Request) -> int:
        """Run one mover to its end.

        Args:
            request: What it shall do, and how it shall die.

        Returns:
            Its exit code: 0 when it moved everything.
        """
        line = msgspec.json.encode(request).decode()
        if self._server is None:
            return self._run_alone(line, request.kill_after_s)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        return int(json.loads(self._server.stdout.readline())["exit"])

    def close(self) -> None:
        """End the server, if there is one."""
        if self._server is not None:
            self._server.communicate(timeout=MOVE_MAX_S)
        self._errors.close()

    def _run_alone(self, line: str, kill_after_s: float | None) -> int:
        with _start("mover_process", "run", line, output=self._errors, errors=self._errors) as process:
            try:
                return process.wait(kill_after_s or MOVE_MAX_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


class Reader:
    """The reading process beside the movers.

    Args:
        folder: Where the stores are.
        seed: Of their content.
        rows_a_day: Of their content.
        way: How it reads: "product", or one of :data:`tests.crash.observer.WAYS`.
    """

    def __init__(self, folder: Path, seed: int, rows_a_day: int, way: str) -> None:
        self._stop = folder / "stop"
        self._log = folder / f"reader-{way}.jsonl"
        self.way = way
        self._errors = folder / f"reader-{way}.txt"
        with self._log.open("wb") as log, self._errors.open("wb") as errors:
            arguments = [str(folder), str(seed), str(rows_a_day), str(_READER_PAUSE_S), way]
            self._process = _start("reader_process", *arguments, output=log, errors=errors)
        deadline_s = time.monotonic() + MOVE_MAX_S
        while not self._log.stat().st_size and self._process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.01)

    @property
    def has_seen_wrong(self) -> bool:
        """Whether it has reported a wrong snapshot by now."""
        return '"wrong"' in self._log.read_text(encoding="utf-8")

    def end(self) -> tuple[int, list[str]]:
        """Stop it.

        Returns:
            How many snapshots it took, and what was wrong with any.
        """
        self._stop.touch()
        self._process.communicate(timeout=MOVE_MAX_S)
        text = self._log.read_text(encoding="utf-8")
        if self._process.returncode:
            errors = self._errors.read_text(encoding="utf-8")
            return 0, [f"it ended with code {self._process.returncode}: {errors[-2_000:]}"]
        lines = [json.loads(line) for line in text.splitlines()]
        wrong = [line["wrong"] for line in lines if "wrong" in line]
        return sum(line.get("snapshots", 0) for line in lines), wrong
