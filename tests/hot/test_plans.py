"""Every statement of the hot path searches an index: reads, and what inserts, updates and deletes look at."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hybridstore.hot.optimizer import QueryOptimizer
from hybridstore.hot.session import READ_CLOCK, WRITE_CLOCK, WriteSession
from hybridstore.store import HybridStore

SCANS_ALLOWED = {
    "live_schema": ("sqlite_schema", "reads the whole schema, to compare all of it"),
    "whole_schema": ("sqlite_schema", "reads the whole schema, to hash all of it"),
    "whole_tables": ("sqlite_schema", "the same"),
    "files_to_keep": ("f", "the maintenance process asks for every archived file there is, to back it up"),
    "schema_version": ("pragma_user_version", "one row that SQLite computes"),
    "known_paths": ("archive_files", "a sweep asks for every path there is, once a run of the mover"),
    "abandoned_paths": ("archive_moves", "a sweep asks for every path there is, once a run of the mover"),
    "abandoned_writes": ("archive_replacements", "the same"),
    "audit_entries": ("audit_log", "a verification reads the whole chain"),
    "erasures_since": ("audit_log", "a hold brings back what was deleted within the last day"),
    "all_holds": ("legal_holds", "somebody asks for every hold there ever was"),
    "forget_keys": ("json_each", "the list of what is forgotten"),
    "remember_keys": ("json_each", "the list of what is remembered"),
    "what_is_held": ("json_each", "the list of what is asked for"),
    "accounts_that_hold": (
        "balances",
        "the maintenance process asks once an interval: a row an account and asset",
    ),
    "accounts_with_equity": (
        "portfolio_equity",
        "the maintenance process and the status ask: a row an account",
    ),
    "accounts_with_entries": (
        "ledger_balances",
        "the doctor proves the books of each: a row an account and asset",
    ),
    "schema_steps": ("schema_history", "a migration tells of every version: a row each"),
    "feed_position": ("s", "one row a dataset: the highest number ever given"),
    "last_audit_entry": ("audit_log", "backwards by the primary key, and stops at the first row"),
}
"""Statements that read all of a table, which, and why."""
MOVER_ONLY = {
    "units_": "once a run: counts every day of the hot rows; an index on the time would be paid by every write",
    "limit_": "walks by the row number and stops at the row it asks for",
    "first_": "walks by the row number and stops at the first row of the unit, which is among the oldest",
}
"""Statements of tiered datasets that only the mover's process runs, by prefix, and why they may read by row number."""
POINT_READS = (
    "latest_balance", "last_balance", "balances_of_account", "open_positions", "open_position_ids", "find_positions",
    "find_marks", "find_trades", "find_orders", "commit_position",
)  # fmt: skip
SCAN = re.compile(r"\bSCAN (?!CONSTANT ROW)(?P<table>\w+)")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridStore]:
    """Return a store with rows in it."""
    with HybridStore(tmp_path_factory.mktemp("plans") / "root") as store:
        store.record_balance_update("BTC", 1)
        store.record_fill("BTC/USDT:USDT", "buy", 100, 1)
        yield store


def plans(store: HybridStore) -> dict[str, list[str]]:
    """Return the plan of every named statement, those that write included."""
    statements = {**store.database.statements, "read_clock": READ_CLOCK, "write_clock": WRITE_CLOCK}

    def explain(session: WriteSession) -> dict[str, list[str]]:
        found = {}
        for name, sql in statements.items():
            names = dict.fromkeys(re.findall(r"[:$@](\w+)", sql))
            bindings = names or (None,) * sql.count("?")
            found[name] = [row[3] for row in session.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
        return found

    return store.database.writer.call(explain)


def test_no_statement_reads_a_whole_table(opened: HybridStore) -> None:
    found = plans(opened)
    assert len(found) > 60
    wrong = [
        f"{name}: {step}"
        for name, steps in found.items()
        for step in steps
        for scan in [SCAN.search(step)]
        if scan
        and not name.startswith(tuple(MOVER_ONLY))
        and SCANS_ALLOWED.get(name, ("", ""))[0] != scan["table"]
        and " USING " not in step
    ]
    assert wrong == []


def test_what_scans_an_index_reads_few_rows_of_it(opened: HybridStore) -> None:
    """A scan of a partial index reads what is open: moves under way, files that count."""
    partial = {
        name
        for (name,) in opened.database.readers.rows(
            "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE INDEX%WHERE%'"
        )
    }
    for name, steps in plans(opened).items():
        for step in steps:
            if SCAN.search(step) and " USING " in step and not name.startswith(tuple(MOVER_ONLY)):
                assert step.rsplit(" ", 1)[-1] in partial, f"{name}: {step}"


def test_the_guard_of_claimed_rows_searches_open_moves_only(opened: HybridStore) -> None:
    """It runs for every row that is updated, however many moves there ever were."""
    triggers = opened.database.readers.rows("SELECT name, sql FROM sqlite_schema WHERE name LIKE '%_claimed'")
    assert {name for name, _ in triggers} == {
        f"{dataset.name}_claimed" for dataset in opened.database.registry.tiered
    }
    for name, sql in triggers:
        condition = sql[sql.index("EXISTS (") + 8 : sql.rindex(")\nBEGIN")]
        steps = opened.database.readers.plan(re.sub(r"\b(OLD|NEW)\.\w+", "1", condition))
        searched = "SEARCH m USING INDEX archive_moves_by_dataset_start_us (dataset=?"
        assert steps, name
        assert all(step.startswith(searched) for step in steps), f"{name}: {steps}"


def test_every_allowance_is_needed(opened: HybridStore) -> None:
    found = plans(opened)
    for name, (table, _) in SCANS_ALLOWED.items():
        assert any(scan["table"] == table for step in found[name] for scan in [SCAN.search(step)] if scan), (
            name
        )
    for prefix in MOVER_ONLY:
        assert any(
            SCAN.search(step) for name, steps in found.items() if name.startswith(prefix) for step in steps
        )


@pytest.mark.parametrize("name", POINT_READS)
def test_what_runs_on_the_event_loop_is_a_search(opened: HybridStore, name: str) -> None:
    steps = opened.database.readers.plan(opened.database.statements[name])
    assert steps
    assert all(step.startswith("SEARCH") for step in steps), steps


def test_the_optimizer_tells_its_plans(opened: HybridStore) -> None:
    told = QueryOptimizer(opened.database).explain()
    assert told["latest_balance"].startswith("SEARCH balances USING PRIMARY KEY")
    assert set(told) >= set(POINT_READS)
