"""Other processes on the same store: real interpreters, started with a script and told apart by their output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_TIMEOUT_S = 60

started: list[subprocess.Popen[str]] = []
"""Of the running test; what it leaves running is ended after it (see tests/leftovers.py)."""


def start(script: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start a Python script that can import this repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HYBRIDSTORE_")}
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        cwd=REPOSITORY,
        env=kept | {"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "utf-8"} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    started.append(child)
    return child


def finish(child: subprocess.Popen[str]) -> str:
    """Wait for a script that must succeed; return what it printed."""
    try:
        out, err = child.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        raise AssertionError(f"the child hangs; it printed {out!r} and {err!r}") from None
    assert child.returncode == 0, f"exit {child.returncode}\n{out}\n{err}"
    return out


def run(script: str, *arguments: object, **environment: str) -> str:
    """Start a script, wait for it, and return what it printed."""
    return finish(start(script, *arguments, **environment))


def say(child: subprocess.Popen[str], word: str) -> None:
    """Send a line to a child."""
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str], word: str) -> None:
    """Wait for a line of a child."""
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if line != word:
        raise AssertionError(f"heard {line!r} for {word!r}: {finish(child)}")
