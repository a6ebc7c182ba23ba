"""The command line: ``hybridstore demo | status | query | run``; a module a command, loaded when it is asked for."""

from __future__ import annotations

from hybridstore.cli.app import app, main

__all__ = ["app", "main"]
