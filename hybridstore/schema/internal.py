"""The store's own bookkeeping: manifest, moves, audit chain, clock, versions."""

from __future__ import annotations

from hybridstore.schema.dataset import Column, Dataset, Index
from hybridstore.schema.types import LogicalType

_TIME, _NAME, _TEXT = LogicalType.TIMESTAMP, LogicalType.NAME, LogicalType.TEXT
_JSON, _INTEGER = LogicalType.JSON, LogicalType.INTEGER

TIERS = ("hot", "warm", "cold", "frozen")
"""Folders under archives/, youngest first. archives/hot holds what overflowed the hot store early."""
OPEN_MOVE_STATES = ("claimed", "publishing")
MOVE_STATES = (*OPEN_MOVE_STATES, "done", "abandoned")
REPLACEMENT_KINDS = ("merge", "delete", "restore", "erase", "evolve")
"""merge: the same rows in fewer files; delete: without rows that are older than their policy keeps; restore: rows of a
deletion that a legal hold brought back; erase: without rows that must not be kept; evolve: with columns that have other
names or hold more."""
REPLACEMENT_STATES = ("claimed", "done", "collecting", "collected", "abandoned")
"""collected: the files it replaced are gone."""

COMMIT_CLOCK = Dataset(
    name="commit_clock",
    kind="internal",
    doc="Number and time of the last commit; the last statement of every write transaction advances it.",
    columns=(
        Column("slot", _INTEGER, "Always 1."),
        Column("mark", LogicalType.BLOB, "16 bytes by which the row is recognised in a page image."),
        Column("seq", _INTEGER, "Number of the commit; starts at 2^48 so that it always takes 8 bytes."),
        Column("ts", _INTEGER, "Its time, us UTC, strictly increasing."),
    ),
    key=("slot",),
)

ARCHIVE_FILES = Dataset(
    name="archive_files",
    kind="internal",
    doc="The manifest: which Parquet files count. Nobody lists a directory to find data.",
    columns=(
        Column("file_id", _NAME, "Unique for ever."),
        Column("dataset", _NAME, "Whose rows it holds."),
        Column("tier", _NAME, "Which tier it belongs to.", choices=TIERS),
        Column("path", _TEXT, "Relative to the root, with forward slashes."),
        Column("start_us", _INTEGER, "First moment of its partition, us UTC."),
        Column("end_us", _INTEGER, "First moment after its partition, us UTC."),
        Column("id_min", _INTEGER, "Smallest row number in it."),
        Column("id_max", _INTEGER, "Largest row number in it."),
        Column(
            "visible_through",
            _INTEGER,
            "While it is being published: rows up to this id count.",
            nullable=True,
        ),
        Column("time_min_us", _INTEGER, "Earliest row, us UTC."),
        Column("time_max_us", _INTEGER, "Latest row, us UTC."),
        Column("symbol_min", _TEXT, "Smallest symbol in it.", nullable=True),
        Column("symbol_max", _TEXT, "Largest symbol in it.", nullable=True),
        Column("row_count", _INTEGER, "Rows in it."),
        Column("size_bytes", _INTEGER, "Its size."),
        Column("sha256", _NAME, "Hash of its whole content."),
        Column("sums", _JSON, "Exact sum of each MONEY and TICK column."),
        Column("schema_version", _INTEGER, "Version of the store's schema it was written under."),
        Column("column_count", _INTEGER, "Columns its rows have: the first so many of the declaration."),
        Column("created_seq", _INTEGER, "Commit that made it count."),
        Column("replaced_seq", _INTEGER, "Commit that replaced it.", nullable=True),
        Column("url", _TEXT, "Object store below which its object has the same path.", nullable=True),
        Column("offloaded_at", _TIME, "Since when its object is proven; null: not yet.", nullable=True),
    ),
    key=("file_id",),
    indexes=(
        Index(("dataset", "start_us"), where="replaced_seq IS NULL"),
        Index(("dataset", "end_us"), where="replaced_seq IS NULL"),
        Index(("offloaded_at",), where="offloaded_at IS NOT NULL"),
    ),
)

ARCHIVE_MOVES = Dataset(
    name="archive_moves",
    kind="internal",
    doc="Every move of a unit (dataset, UTC day): what it claimed and how far it is.",
    columns=(
        Column("move_id", _NAME, "Unique."),
        Column("dataset", _NAME, "What is moved."),
        Column("tier", _NAME, "Where to.", choices=TIERS),
        Column("start_us", _INTEGER, "First moment of the unit, us UTC."),
        Column("end_us", _INTEGER, "First moment after the unit, us UTC."),
        Column("max_id", _INTEGER, "Largest row number claimed."),
        Column("state", _NAME, "How far it is.", choices=MOVE_STATES),
        Column("file_id", _NAME, "The file it writes."),
        Column("path", _TEXT, "The file's path relative to the root."),
        Column("row_count", _INTEGER, "Rows moved, once known.", nullable=True),
        Column("claimed_at", _TIME, "When it began."),
        Column("finished_at", _TIME, "When it ended.", nullable=True),
    ),
    key=("move_id",),
    indexes=(
        Index(("dataset", "start_us"), where="state IN ('claimed', 'publishing')"),
        Index(("dataset", "finished_at")),
    ),
)

ARCHIVE_REPLACEMENTS = Dataset(
    name="archive_replacements",
    kind="internal",
    doc="Every replacement of archived files by others.",
    columns=(
        Column("replacement_id", _NAME, "Unique."),
        Column("kind", _NAME, "What it is for.", choices=REPLACEMENT_KINDS),
        Column("dataset", _NAME, "Whose files."),
        Column("tier", _NAME, "Where to.", choices=TIERS),
        Column("start_us", _INTEGER, "First moment of the period, us UTC."),
        Column("end_us", _INTEGER, "First moment after it, us UTC."),
        Column("writes", _JSON, "Files it may write: [id, path relative to the root] each."),
        Column("replaces", _JSON, "Ids of the files it replaces."),
        Column("kept", _JSON, "Rows of which times stay: [from, to) us UTC each; null: all.", nullable=True),
        Column("state", _NAME, "How far it is.", choices=REPLACEMENT_STATES),
        Column("row_count", _INTEGER, "Rows that stay, once known.", nullable=True),
        Column("claimed_at", _TIME, "When it began."),
        Column("finished_at", _TIME, "When it ended.", nullable=True),
    ),
    key=("replacement_id",),
    indexes=(Index(("state", "finished_at"), where="state IN ('claimed', 'done', 'collecting')"),),
)

AUDIT_LOG = Dataset(
    name="audit_log",
    kind="internal",
    doc="A hash chain of what was done to history; each entry holds the hash of the one before.",
    columns=(
        Column("entry", _INTEGER, "1 for the first, without gaps."),
        Column("occurred_at", _TIME, "When."),
        Column("action", _NAME, "What was done."),
        Column("detail", _JSON, "To what, canonical JSON."),
        Column("previous_sha256", _NAME, "Hash of the entry before; 64 zeros for the first."),
        Column("sha256", _NAME, "Hash of this entry."),
    ),
    key=("entry",),
)

LEGAL_HOLDS = Dataset(
    name="legal_holds",
    kind="internal",
    doc="Ranges of a dataset that nothing may delete.",
    columns=(
        Column("hold_id", _NAME, "Unique."),
        Column("dataset", _NAME, "What is held."),
        Column("start_us", _INTEGER, "From, us UTC."),
        Column("end_us", _INTEGER, "To, exclusive, us UTC."),
        Column("reason", _TEXT, "Why."),
        Column("held_by", _TEXT, "Who ordered it."),
        Column("placed_at", _TIME, "When."),
        Column("released_at", _TIME, "When it ended.", nullable=True),
    ),
    key=("hold_id",),
    indexes=(Index(("placed_at",), where="released_at IS NULL"),),
)

CORRECTIONS = Dataset(
    name="corrections",
    kind="internal",
    doc="Old versions of rows that were recorded again with another content.",
    columns=(
        Column("dataset", _NAME, "Whose row."),
        Column("key_hash", _INTEGER, "Hash of its dataset and key; see schema/keys.py."),
        Column("row_id", _INTEGER, "Its row number before."),
        Column("new_row_id", _INTEGER, "Its row number since: another where the old version is archived."),
        Column("old_row", _JSON, "The content before, by column."),
        Column("new_row", _JSON, "The content since, by column."),
        Column("corrected_at", _TIME, "When."),
    ),
    indexes=(Index(("key_hash",)), Index(("dataset", "row_id"))),
)

SUPERSEDED_ROWS = Dataset(
    name="superseded_rows",
    kind="internal",
    doc="Archived rows that no longer count, because a later version of them does: files are never changed in place.",
    columns=(
        Column("dataset", _NAME, "Whose row."),
        Column("row_id", _INTEGER, "Its row number in its file."),
        Column("superseded_seq", _INTEGER, "Commit that took it out of count."),
    ),
    key=("dataset", "row_id"),
)

ARCHIVED_KEYS = Dataset(
    name="archived_keys",
    kind="internal",
    doc="Where a row is archived, by its key: so that one recorded again years later is known.",
    columns=(
        Column("key_hash", _INTEGER, "Hash of dataset and key; see schema/keys.py."),
        Column("archived_day", _INTEGER, "UTC day of its unit since 1970; null: of several.", nullable=True),
    ),
    key=("key_hash",),
)

DATASET_STATE = Dataset(
    name="dataset_state",
    kind="internal",
    doc="What a store knows of a dataset as a whole.",
    columns=(
        Column("dataset", _NAME, "Which."),
        Column(
            "mutations", _INTEGER, "Updates in place so far; an incremental copy is rebuilt when this moved."
        ),
        Column("declaration", _NAME, "Hash of the declaration its table was made from."),
        Column("deleted_until_us", _INTEGER, "Rows before it were deleted by policy, us UTC.", nullable=True),
        Column(
            "deleted_at_us",
            _INTEGER,
            "Last commit by which rows were deleted by policy, or came back, us UTC.",
            nullable=True,
        ),
        Column(
            "incomplete_before_us",
            _INTEGER,
            "What was known before this commit is not all there, of whatever time rows are, us UTC.",
            nullable=True,
        ),
    ),
    key=("dataset",),
)

SCHEMA_HISTORY = Dataset(
    name="schema_history",
    kind="internal",
    doc="Which schema versions this store went through.",
    columns=(
        Column("version", _INTEGER, "Version reached."),
        Column("name", _NAME, "The migration's name."),
        Column("applied_at", _TIME, "When."),
        Column("backup", _TEXT, "The copy taken before; null for a new store.", nullable=True),
    ),
    key=("version",),
)

SETTINGS = Dataset(
    name="settings",
    kind="internal",
    doc="What belongs to the store and not to a process: its identity, declarations of a user's own datasets.",
    columns=(Column("setting", _NAME, "Which."), Column("value", _TEXT, "Its value.")),
    key=("setting",),
)

INTERNAL = (
    COMMIT_CLOCK,
    ARCHIVE_FILES,
    ARCHIVE_MOVES,
    ARCHIVE_REPLACEMENTS,
    AUDIT_LOG,
    LEGAL_HOLDS,
    CORRECTIONS,
    SUPERSEDED_ROWS,
    ARCHIVED_KEYS,
    DATASET_STATE,
    SCHEMA_HISTORY,
    SETTINGS,
)
