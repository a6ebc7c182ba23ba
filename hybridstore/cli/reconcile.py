"""``hybridstore reconcile``: whether the books agree with what the exchange reported, and where and why not."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.books.reconciliation import LAG_S
from hybridstore.cli.options import Account, At, Csv, Json, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table, warn
from hybridstore.errors import ConfigError, InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.schema.types import check_timestamp

if TYPE_CHECKING:
    from hybridstore.books.proof import BooksProof
    from hybridstore.books.reconciled import Reconciliation

_SHOWN = (
    "asset",
    "state",
    "opening",
    "opening_from",
    "booked",
    "reported",
    "difference",
    "agreed_at",
    "parted_at",
)
_CSV = (
    *_SHOWN, "reported_at", "entries", "reports", "entry_id", "suspects", "gaps", "passing_at", "unsettled",
    "unreported", "kept", "kept_difference",
)  # fmt: skip
_COUNTED = {"gaps", "passing_at", "unsettled"}
"""Lists that CSV gives the length of; JSON has all of them."""
_TERMS = (
    "asset", "booked", "net_flow", "realized", "funding", "fees", "other", "held", "conversions", "by_hand",
    "difference",
)  # fmt: skip


def reconcile(
    *,
    account: Account = DEFAULT_ACCOUNT,
    asset: Annotated[str | None, Parameter(help="Only this asset. Default: all.")] = None,
    opening: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="What was held before the first entry (or at --start), as BTC=1.5; an asset that is not named had "
            "nothing. Default: nothing where that explains the reports, else the first report.",
        ),
    ] = None,
    start: Annotated[
        str | None, Parameter(help="Compare reports from this moment on: ISO 8601 with a zone.")
    ] = None,
    at: At = None,
    lag_s: Annotated[
        float, Parameter(help="How far the moment of a report may be from that of what it includes, seconds.")
    ] = LAG_S,
    prove: Annotated[
        bool,
        Parameter(
            negative="", help="Also prove the books by themselves: every figure against what it comes from."
        ),
    ] = False,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    root: Root = None,
) -> None:
    """Compare the ledger with every reported balance. Exit code 1: they part, or the books do not prove themselves."""
    from hybridstore.store import HybridStore

    if prove and at is not None:
        raise ConfigError("--prove and --at: the proof is of the books as they are", hint="give one of them")
    end_us = (
        None if at is None else check_timestamp(at, "--at") + 1
    )  # what happened at that moment is included
    with HybridStore(existing_root(root)) as store:
        found = store.books.reconcile(
            account,
            asset=asset,
            opening=None if opening is None else dict(map(_opening, opening)),
            start=start,
            end=end_us,
            lag_s=lag_s,
        )
        proof = store.books.prove(account) if prove else None
    print_answer(
        found if proof is None else {"reconciliation": found, "proof": proof},
        _CSV if proof is None else (*_CSV, *(f"proof_{name}" for name in _TERMS[1:])),
        _rows(found, proof),
        lambda console: _show(found, proof, console),
        json=json,
        csv=csv,
        output=output,
    )
    if not found.agreed or (proof is not None and not proof.holds):
        sys.exit(1)


def _opening(text: str) -> tuple[str, str]:
    asset, _, amount = text.partition("=")
    if not asset or not amount:
        raise InvalidValue(
            f"--opening {text!r}: not an asset and its amount", hint="write for example BTC=1.5"
        )
    return asset, amount


def _rows(found: Reconciliation, proof: BooksProof | None) -> Iterator[list[object]]:
    """Give a row an asset; of the proof, too, where it was asked for."""
    terms = {} if proof is None else {one.asset: one for one in proof.assets}
    for one in found.assets:
        row: list[object] = [_cell(name, one[name]) for name in _CSV]
        if proof is not None:
            known = terms.get(one.asset)
            row += [None if known is None else known[name] for name in _TERMS[1:]]
        yield row


def _cell(name: str, value: object) -> object:
    if isinstance(value, tuple):
        return len(value) if name in _COUNTED else " ".join(value)
    return value


def _show(found: Reconciliation, proof: BooksProof | None, console: Console) -> None:
    columns = [name.replace("_", " ") for name in _SHOWN]
    print_table(console, None, columns, [[one[name] for name in _SHOWN] for one in found.assets])
    _tell(console, found.sentences())
    if not any(one.reports for one in found.assets):
        console.print("no balance was ever reported: there is nothing to compare the books with")
    elif found.agreed:
        console.print("[green]the books agree with every report[/]")
    else:
        console.print("[red]the books part from the reports[/]")
    if proof is None:
        return
    terms = [[one[name] for name in _TERMS] for one in proof.assets]
    print_table(console, "Proof", [name.replace("_", " ") for name in _TERMS], terms)
    for fault in proof.faults:
        warn(console, fault.sentence())
    if proof.fault_count > len(proof.faults):
        warn(console, f"and {proof.fault_count - len(proof.faults)} more")
    counted = (
        f"{proof.fills} fills, {proof.entries} entries, {proof.events} changes of {proof.positions} positions"
    )
    console.print(
        f"[green]the books prove themselves[/]: {counted}"
        if proof.holds
        else f"[red]the books do not prove themselves[/]: {counted}"
    )


def _tell(console: Console, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        console.print(escape(sentence), highlight=False, soft_wrap=True)
