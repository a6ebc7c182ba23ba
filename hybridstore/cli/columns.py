"""Commands of ``hybridstore retention`` that change columns of a user's dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console

from hybridstore.cli.options import Json, Root, existing_root
from hybridstore.cli.printing import write_text
from hybridstore.reports.plain import json_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from hybridstore.retention.evolver import Evolution
    from hybridstore.retention.rewriting_desk import RewritingDesk

DryRun = Annotated[bool, Parameter(negative="", help="Only show what would be written anew.")]
_WAIT_S = 60.0


def rename_column(
    dataset: Annotated[str, Parameter(help="A dataset of your own.")],
    old: Annotated[str, Parameter(help="The column.")],
    new: Annotated[str, Parameter(help="Its new name.")],
    /,
    *,
    dry_run: DryRun = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Give a column of your own dataset another name, in its table and in all its archived files at once."""

    def do(desk: RewritingDesk, **options: Any) -> Evolution:
        return desk.rename_column(dataset, old, new, **options)

    _evolve(do, root=root, dry_run=dry_run, json=json)


def widen_column(
    dataset: Annotated[str, Parameter(help="A dataset of your own.")],
    column: Annotated[str, Parameter(help="The column.")],
    /,
    *,
    type: Annotated[  # noqa: A002  the option's name
        Literal["text", "integer"] | None, Parameter(help="text for a NAME, integer for a BOOLEAN.")
    ] = None,
    nullable: Annotated[bool, Parameter(negative="", help="It may be absent from now on.")] = False,
    dry_run: DryRun = False,
    root: Root = None,
    json: Json = False,
) -> None:
    """Let a column of your own dataset hold more, in its table and in all its archived files at once."""
    from hybridstore.schema.types import LogicalType

    def do(desk: RewritingDesk, **options: Any) -> Evolution:
        kind = None if type is None else LogicalType(type)
        return desk.widen_column(dataset, column, kind, nullable=nullable, **options)

    _evolve(do, root=root, dry_run=dry_run, json=json)


def _evolve(do: Callable[..., Evolution], *, root: Root, dry_run: bool, json: bool) -> None:
    from rich.progress import Progress

    from hybridstore.store import HybridStore

    with (
        HybridStore(existing_root(root), maintenance="off") as store,
        Progress(transient=True, disable=json or dry_run) as bar,
    ):
        task = bar.add_task("rows written anew", total=None)
        done = do(
            store.retention,
            dry_run=dry_run,
            progress=lambda rows, total: bar.update(task, completed=rows, total=total),
            wait_s=_WAIT_S,
        )
    if json:
        write_text(json_text(done), None)
        return
    would = "would be" if done.dry_run else "were"
    Console().print(
        f"{done.rows:,} rows in {done.files:,} files of {done.dataset} ({done.size_bytes:,} bytes) {would} written "
        "anew; what they replace is deleted a day later; declare the dataset as it is now wherever it is used",
        soft_wrap=True,
    )
