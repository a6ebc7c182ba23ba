"""Options that several commands take, and the store they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hybridstore.config import DATABASE_NAME, default_root
from hybridstore.errors import NotFound

Root = Annotated[
    Path | None,
    Parameter(
        help="The store's folder. Default: HYBRIDSTORE_ROOT, else the platform's folder for user data."
    ),
]
Json = Annotated[bool, Parameter(negative="", help="Print JSON instead of a table.")]
Csv = Annotated[bool, Parameter(negative="", help="Print CSV instead of a table.")]
Output = Annotated[
    Path | None,
    Parameter(
        name=["--output", "-o"], help="File to write: CSV, or JSON with --json. Default: the terminal."
    ),
]
Account = Annotated[str, Parameter(help="Whose.")]
At = Annotated[
    str | None,
    Parameter(help="As of this moment: ISO 8601 with a zone, as 2026-01-31T12:00:00Z. Default: now."),
]
MaxPriceAge = Annotated[
    float, Parameter(help="How old a price may be at a moment of the past, s; inf means any age.")
]


def existing_root(root: Path | None) -> Path:
    """Return the folder of the store that is there; a command that only looks must not create one.

    Args:
        root: What the user gave.

    Returns:
        The store's folder.

    Raises:
        NotFound: There is no store.
    """
    folder = root or default_root()
    if not (folder / DATABASE_NAME).exists():
        raise NotFound(
            "there is no store here",
            path=str(folder),
            hint="give --root, or make one with: hybridstore init DIR",
        )
    return folder
