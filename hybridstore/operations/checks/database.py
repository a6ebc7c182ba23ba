"""The database: what it is, looked at before it is opened; whether its pages and tables are right, once it is."""

from __future__ import annotations

from hybridstore.config import CONFIG_NAME
from hybridstore.errors import HybridStoreError, SchemaMismatch, StoreBusy, StoreCorrupt
from hybridstore.hot.inspection import Inspection, inspect_database
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.hot.watermark import Loss, Position, Watermark
from hybridstore.named_sql import load_named_sql
from hybridstore.operations.findings import Ailment, Case, ailment
from hybridstore.retention.verification import page_problems
from hybridstore.schema.migrations import SCHEMA_VERSION, pending
from hybridstore.schema.types import moment

_RESTORE = "stop the bot; hybridstore backup list, then: hybridstore backup restore latest --in-place"


def check_file(case: Case) -> list[Ailment]:
    """Look at the database from outside. Where this finds an error the store is not opened."""
    path = case.settings.database.path
    if not path.exists():
        remedy = (
            f"put {path.name} and its -wal back, or restore a backup: hybridstore backup list --root {case.root}; for "
            f"a new store: hybridstore init {case.root}"
        )
        is_new = not any(one.name != CONFIG_NAME for one in case.root.iterdir())
        return [
            ailment(
                "database-missing", f"{path} is not there", remedy, severity="note" if is_new else "error"
            )
        ]
    if not path.stat().st_size:
        remedy = (
            f"restore a backup: hybridstore backup list; where there was none: hybridstore init {case.root}"
        )
        return [ailment("database-empty", f"{path} has no content", remedy)]
    reached = Watermark(case.root).read()  # first: others may commit meanwhile
    try:
        inspection = inspect_database(case.settings.database, load_named_sql("hybridstore.hot"))
    except HybridStoreError as error:
        return [told_of(error)]
    return [*_schema(inspection), *_losses(case, inspection, reached)]


def told_of(error: HybridStoreError) -> Ailment:
    """Return the finding that an error of the store is.

    Args:
        error: What opening it, or reading it, raised.

    Returns:
        A finding with its words.
    """
    words, hint = error.message, error.hint
    if error.path and error.path not in words:
        words = f"{words} [{error.path}]"
    if isinstance(error, StoreBusy):
        return ailment("store-busy", words, hint)
    if isinstance(error, SchemaMismatch):
        is_foreign = "another program" in words
        return ailment("database-foreign" if is_foreign else "schema-changed", words, hint)
    if isinstance(error, StoreCorrupt):
        code = "database-cut" if "inside a page" in words else "database-damaged"
        return ailment("page-checksum" if "checksum" in words else code, words, _RESTORE)
    return ailment("database-unreadable", words, hint)


def _schema(inspection: Inspection) -> list[Ailment]:
    version = inspection.schema_version
    if version > SCHEMA_VERSION:
        what = f"the store has schema version {version}, this hybridstore knows {SCHEMA_VERSION}"
        return [ailment("schema-newer", what, "pip install -U hybridstore")]
    if version < SCHEMA_VERSION:
        steps = ", ".join(step.name for step in pending(version))
        what = f"the store has schema version {version}, the newest is {SCHEMA_VERSION}; it lacks {steps}"
        return [
            ailment(
                "schema-older", what, "hybridstore migrate, which takes a backup first; then doctor again"
            )
        ]
    return []


def _losses(case: Case, inspection: Inspection, reached: Position | None) -> list[Ailment]:
    """Compare what the database holds with what is known outside it, before anything is copied over what is left."""
    now, told = inspection.position, []
    if reached is not None and now is not None and (reached.mark != now.mark or reached.seq > now.seq):
        other = "" if reached.mark == now.mark else " of another store"
        what = (
            f"the store had reached commit {reached.seq}{other} of {moment(reached.ts_us).isoformat()}, and the "
            f"database ends at commit {now.seq} of {moment(now.ts_us).isoformat()}"
        )
        told.append(
            ailment(
                "commits-lost",
                what,
                "copy the database and its -wal aside first; then put the right database back, or restore: hybridstore "
                "backup restore latest --in-place",
            )
        )
    return told + [_lost(loss) for loss in Watermark(case.root).losses()]


def _lost(loss: Loss) -> Ailment:
    return ailment(
        "commits-lost",
        loss.sentence(),
        "restore: hybridstore backup restore latest --in-place; where what is there shall count, remove .loss.json",
    )


def check_schema(case: Case) -> list[Ailment]:
    """Compare the tables with the declarations."""
    try:
        SchemaManager(case.database).verify()
    except SchemaMismatch as error:
        return [told_of(error)]
    return []


def check_pages(case: Case) -> list[Ailment]:
    """Have SQLite read every page."""
    if not case.thorough:
        return []
    told = page_problems(case.database)
    code = "page-checksum" if case.database.config.page_checksums else "database-damaged"
    return [ailment(code, problem, _RESTORE) for problem in told]


CHECKS = (check_schema, check_pages)
