"""``hybridstore init``: a new store with a configuration file that explains itself."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Root
from hybridstore.cli.printing import write_text
from hybridstore.config import default_root


def init(
    root: Root = None,
    *,
    page_checksums: Annotated[
        bool, Parameter(negative="", help="Give each page a checksum; this cannot be decided later.")
    ] = False,
    print_: Annotated[
        bool, Parameter(name="--print", negative="", help="Only print the configuration file; make nothing.")
    ] = False,
) -> None:
    """Make a store with a configuration file that explains every setting; never over one that is there."""
    from hybridstore.operations.beginning import begin_store
    from hybridstore.operations.settings_told import example_file

    if print_:
        write_text(example_file(page_checksums=page_checksums), None)
        return
    folder = (root or default_root()).absolute()
    database, config = begin_store(folder, page_checksums=page_checksums)
    console = Console()
    for line in (
        f"made {database}",
        f"made {config}: every setting with its default, commented out",
        "",
        "next:",
        f'  in the bot          TradingBotStorageSystem(r"{folder}")',
        f"  without a bot       hybridstore run --root {folder}",
        f"  how it is           hybridstore status --root {folder}",
        f"  what is wrong       hybridstore doctor --root {folder}",
        f"  backups             name another disk in {config.name}: backup_base_path of [backup]",
    ):
        console.print(escape(line), highlight=False, soft_wrap=True)
