"""``hybridstore run``: maintenance, once or as a service."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from hybridstore.cli.options import Json, Root, existing_root


def run(
    *,
    root: Root = None,
    once: Annotated[bool, Parameter(negative="", help="Do what is due now and stop.")] = False,
    interval_s: Annotated[
        float | None, Parameter(help="Seconds between rounds. Default: the configuration's, else 3600.")
    ] = None,
    now: Annotated[
        str | None, Parameter(help="Plan as if it were this moment (ISO 8601 with a zone); only with --once.")
    ] = None,
    wait: Annotated[
        bool,
        Parameter(help="Where another process maintains the store: wait for its end, or stop with an error."),
    ] = True,
    metrics_port: Annotated[
        int | None,
        Parameter(
            help="Answer /health and /metrics on this port meanwhile. Default: the configuration's, else not."
        ),
    ] = None,
    metrics_host: Annotated[
        str | None,
        Parameter(help="Address to listen on for that. Default: the configuration's, else 127.0.0.1."),
    ] = None,
    json: Json = False,
) -> None:
    """Move rows that are old enough into their archives: once, or as a service."""
    from hybridstore.operations.foreground import run_foreground

    run_foreground(
        existing_root(root),
        once=once,
        interval_s=interval_s,
        now=now,
        wait=wait,
        json=json,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
