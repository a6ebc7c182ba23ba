"""docs/requested-system.md leaves nothing of the requested system out, and what it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import hybridstore
from hybridstore.hot.optimizer import BalanceQueries
from hybridstore.operations.diagnostics import TARGETS_MS
from hybridstore.schema.registry import Registry
from tests.requested import Item, items_of, read_document

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "requested-system.md"
HEADING = re.compile(r"^## (?P<number>\d+)\. (?P<title>.+)$")
ROW = re.compile(r"^\| (?P<number>\d+\.\d+) \|(?P<cells>.*)\|$")
PLAN = re.compile(r"^\| (?P<plan>[^|]+) \| (?P<meaning>[^|]+) \| (?P<rows>[\d., ]+) \|$")
TEST = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>test_\w+)`")
PROOF = re.compile(
    rf"(?:{TEST.pattern}(?:, )?)*(?:(?:^|; )planned: [^;|`]+)*".replace("?P<path>", "").replace(
        "?P<name>", ""
    )
)
CODE = re.compile(r"`([^`]+)`")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")

OWNERS: list[object] = [
    hybridstore,
    hybridstore.TradingBotStorageSystem,
    hybridstore.HybridStore,
    hybridstore.QueryOptimizer,
    hybridstore.DatabaseConfig,
    hybridstore.BackupConfig,
    hybridstore.RetentionPolicy,
    hybridstore.HybridStoreError,
    BalanceQueries,
]
"""Where a name of the page may stand without its owner."""


class Row(NamedTuple):
    """One row of the page."""

    number: str
    section: str
    quote: str
    where: str
    proof: str

    @property
    def plans(self) -> list[str]:
        """What is planned for it."""
        return [plan.strip() for plan in re.findall(r"planned: ([^;]+)", self.proof)]


def rows_of(page: str) -> list[Row]:
    """Return the rows of the page's tables, in order."""
    rows, section = [], ""
    for line in page.splitlines():
        if heading := HEADING.match(line):
            section = f"{heading['number']} {heading['title']}"
        elif row := ROW.match(line):
            cells = [cell.strip() for cell in row["cells"].split("|")]
            assert len(cells) == 3, line
            rows.append(Row(row["number"], section, *cells))
    return rows


def plain(text: str) -> str:
    """Return a text without decoration."""
    return re.sub(r"\s+", " ", re.sub(r"[*`|]", " ", text)).strip()


def says(item: Item, quote: str) -> bool:
    """Say whether a quote, with "…" for what it leaves out, is in what the document says."""
    rest = plain(item.text)
    for part in quote.split("…"):
        _, found, rest = rest.partition(plain(part))
        if not found:
            return False
    return True


@cache
def defined_in(path: Path) -> frozenset[str]:
    """Return the names of the tests a file defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def missing_tests(text: str) -> list[str]:
    """Return the tests a text names and that are not there."""
    return [
        f"{found['path']}::{found['name']}"
        for found in TEST.finditer(text)
        if not (path := REPOSITORY / found["path"]).is_file() or found["name"] not in defined_in(path)
    ]


def find(owner: Any, name: str) -> Any:
    """Return what a dotted name leads to from an owner, loading modules on the way; None where it leads nowhere."""
    found = owner
    for part in name.split("."):
        inner = getattr(found, part, None)
        if inner is None and hasattr(found, "__path__") and find_spec(f"{found.__name__}.{part}"):
            inner = import_module(f"{found.__name__}.{part}")
        if inner is None:
            return None
        found = inner
    return found


def is_name_of_ours(name: str) -> bool:
    """Say whether a name is a module, a class, a call, a setting, a dataset or an operation of the diagnostics."""
    if name in Registry() or name in TARGETS_MS or any(find(owner, name) is not None for owner in OWNERS):
        return True
    first, _, rest = name.partition(".")
    return first in {"hybridstore", "store", "config"} and (not rest or is_name_of_ours(rest))


@pytest.fixture(scope="module")
def page() -> str:
    """Return the text of the page."""
    return PAGE.read_text(encoding="utf-8")


def test_the_page_leaves_nothing_out(page: str) -> None:
    items, rows = items_of(read_document()), rows_of(page)
    assert [row.number for row in rows] == [item.number for item in items]
    for item, row in zip(items, rows, strict=True):
        assert row.section == f"{item.number.partition('.')[0]} {item.section}"
        assert says(item, row.quote), f"{row.number}: {row.quote!r} is not in {plain(item.text)!r}"


def test_no_cell_is_empty(page: str) -> None:
    rows = rows_of(page)
    assert len(rows) > 100
    assert [row for row in rows if not all(row)] == []
    wrong = [row.number for row in rows if not PROOF.fullmatch(row.proof)]
    assert wrong == [], "proofs are tests (tests/path.py::name) and what is planned"


def test_every_test_it_names_is_there(page: str) -> None:
    assert len(TEST.findall(page)) > 100
    assert missing_tests(page) == []


def test_everything_it_names_is_there(page: str) -> None:
    names = {
        (row.number, name)
        for row in rows_of(page)
        for name in CODE.findall(row.where)
        if DOTTED.fullmatch(name)
    }
    files = {"trading_bot.db"}
    assert [
        f"{number}: {name}"
        for number, name in sorted(names)
        if name not in files and not is_name_of_ours(name)
    ] == []


def test_what_is_planned_is_listed(page: str) -> None:
    listed = {
        found["plan"]: found["rows"].split(", ")
        for line in page.split("\n## Planned\n", 1)[1].splitlines()
        if (found := PLAN.match(line))
    }
    planned: dict[str, list[str]] = {}
    for row in rows_of(page):
        for plan in row.plans:
            planned.setdefault(plan, []).append(row.number)
    assert listed == planned
    promised = {name for name in planned if re.search(r"\(\w+\)", name)}
    public = [name for name in promised if re.findall(r"\((\w+)\)", name)[0] in hybridstore.__all__]
    assert public == [], "what is there is no longer planned"


# -- the checks themselves -----------------------------------------------------------------------------------------

SAMPLE = """# A title

First sentence here. Second one!

## A & B

- **Fast** reads `now`
1. Numbered

| a | b |
|---|---|
| x | < 5 |

```
root/
└── file   # what it is
```

```python
# Make it
config = Thing(
    size=3,  # how large
)
```
"""


def test_a_document_is_taken_apart() -> None:
    items = items_of(SAMPLE)
    assert [(item.number, item.kind) for item in items] == [
        ("1.1", "sentence"),
        ("1.2", "sentence"),
        ("2.1", "bullet"),
        ("2.2", "bullet"),
        ("2.3", "row"),
        ("2.4", "line"),
        ("2.5", "line"),
        ("2.6", "snippet"),
        ("2.7", "comment"),
        ("2.8", "option"),
    ]
    assert [item.section for item in items[1:3]] == ["A title", "A & B"]
    assert items[-1].text == "size=3,  # how large"
    assert says(items[2], "Fast reads")
    assert says(items[4], "x … < 5")
    assert not says(items[2], "Slow reads")
    assert not says(items[4], "< 5 … x"), "in its order"


@pytest.mark.parametrize(
    ("proof", "good"),
    [
        ("`tests/test_a.py::test_b`", True),
        ("`tests/test_a.py::test_b`, `tests/c/test_a.py::test_b`; planned: backups (BackupManager)", True),
        ("planned: one; planned: another", True),
        ("by looking at it", False),
        ("`tests/test_a.py`", False),
        ("`tests/test_a.py::test_b` and more", False),
    ],
)
def test_a_proof_is_tests_and_plans(proof: str, *, good: bool) -> None:
    assert bool(PROOF.fullmatch(proof)) is good


def test_what_is_not_there_is_found() -> None:
    assert missing_tests(
        "`tests/test_nowhere.py::test_a`, `tests/test_requested_mapping.py::test_not_here`"
    ) == [
        "tests/test_nowhere.py::test_a",
        "tests/test_requested_mapping.py::test_not_here",
    ]
    assert missing_tests("`tests/test_requested_mapping.py::test_what_is_not_there_is_found`") == []
    there = [
        "hot.pool.ReaderPool",
        "HybridStore.root",
        "trades",
        "max_connections",
        "store.retention",
        "schema",
    ]
    gone = [
        "hot.pool.WriterPool",
        "HybridStore.roof",
        "trade",
        "max_conections",
        "store.retentions",
        "scheme",
    ]
    assert [is_name_of_ours(name) for name in there] == [True] * len(there)
    assert [is_name_of_ours(name) for name in gone] == [False] * len(gone)
