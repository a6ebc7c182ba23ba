"""The documents are right: their code runs, their commands work, their links lead somewhere, nothing is left out.

Per document, in a folder of its own and with ``HYBRIDSTORE_ROOT`` naming an empty store: ``python`` blocks run top to
bottom in one namespace; every line of a ``bash`` or ``console`` block is a ``hybridstore`` command that must succeed
(in ``console`` blocks commands follow a ``$``, the rest is what they print); ``toml`` blocks are settings that load.
Blocks in other languages (``sh``, ``bat``, ``text``) are for the reader alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hybridstore.cli.reference import PAGES
from hybridstore.config import BackupConfig, DatabaseConfig, RetentionPolicy, load_settings
from hybridstore.errors import ConfigError
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.markdown import SQL_TYPES, reference
from hybridstore.schema.registry import Registry
from hybridstore.sections import (
    AnalyticsConfig,
    MaintenanceConfig,
    MetricsConfig,
    PortfolioConfig,
    ReportConfig,
)

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "benchmarks").rglob("*.md")),
]
COMMAND_TIMEOUT_S = 150

FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(
    r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(?P<reference>\S+)", re.MULTILINE
)
HEADING = re.compile(r"^#{1,6}\s+(?P<title>.+?)\s*#*$", re.MULTILINE)
DOCUMENT_NAME = re.compile(r"\bdocs/[\w/-]+\.md\b")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of the document its text starts at."""

    language: str
    code: str
    line: int


def blocks_of(text: str) -> list[Block]:
    return [
        Block(found["language"], found["code"], text.count("\n", 0, found.start("code")) + 1)
        for found in FENCE.finditer(text)
    ]


def commands_of(block: Block) -> list[list[str]]:
    """Return the commands of a block, each as its words; a line that is not a command of ours is an error."""
    joined = block.code.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    if block.language == "console":
        lines = [line.removeprefix("$").strip() for line in lines if line.startswith("$")]
    commands = [shlex.split(line, comments=True) for line in lines if line and not line.startswith("#")]
    strangers = [" ".join(words) for words in commands if words[0] != "hybridstore"]
    assert not strangers, f"only hybridstore commands can be tried, put others into a sh block: {strangers}"
    return commands


def run_command(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a ``hybridstore`` command in a folder, as the installed script would."""
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "hybridstore", *words[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def run_document(text: str, name: str, folder: Path) -> int:
    """Run every block of a document that can be run.

    Args:
        text: The document.
        name: What a traceback calls it.
        folder: Where commands run; the caller has made it the working directory.

    Returns:
        How many blocks were run.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    ran = 0
    for block in blocks_of(text):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.code  # a traceback shows the document's own line
            exec(compile(code, name, "exec"), namespace)  # noqa: S102  the documents of this repository
        elif block.language in {"bash", "console"}:
            for words in commands_of(block):
                done = run_command(words, folder)
                where = f"{name}:{block.line}: {shlex.join(words)}"
                assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"
        elif block.language == "toml":
            (folder / "hybridstore.toml").write_text(block.code, encoding="utf-8")
            load_settings(folder, environment={})
        else:
            continue
        ran += 1
    return ran


def slug(title: str) -> str:
    """Return the anchor GitHub gives a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def broken_links(document: Path, text: str) -> list[str]:
    """Return the links of a document that lead to no file or heading of the repository."""
    broken = []
    prose = FENCE.sub("", text)
    for found in LINK.finditer(prose):
        target = found["target"] or found["reference"]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists():
            broken.append(target)
        elif anchor and path.suffix == ".md":
            body = text if path == document else path.read_text(encoding="utf-8")
            if anchor not in {slug(heading["title"]) for heading in HEADING.finditer(FENCE.sub("", body))}:
                broken.append(target)
    return broken


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the working directory, beside an empty store that HYBRIDSTORE_ROOT names."""
    from hybridstore.store import HybridStore

    for variable in [name for name in os.environ if name.startswith("HYBRIDSTORE_")]:
        monkeypatch.delenv(variable)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "store"))
    with HybridStore(tmp_path / "store"):
        pass
    return folder


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_a_document_runs(document: Path, workplace: Path) -> None:
    run_document(document.read_text(encoding="utf-8"), str(document), workplace)


def test_the_readme_shows_code_and_commands() -> None:
    languages = {
        block.language for block in blocks_of((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    }
    assert {"python", "bash", "sh", "bat"} <= languages


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document, document.read_text(encoding="utf-8")) == []


def test_every_setting_is_documented() -> None:
    text = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    settings = [
        *DatabaseConfig.__struct_fields__,
        *BackupConfig.__struct_fields__,
        *MaintenanceConfig.__struct_fields__,
        *PortfolioConfig.__struct_fields__,
        *AnalyticsConfig.__struct_fields__,
        *ReportConfig.__struct_fields__,
        *MetricsConfig.__struct_fields__,
        *RetentionPolicy.__struct_fields__,
    ]
    assert [name for name in settings if f"`{name}`" not in text] == []


def test_every_command_is_documented() -> None:
    from hybridstore.cli import app

    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    commands = [name for name in app if not name.startswith("-")]
    assert "demo" in commands
    assert [name for name in commands if f"hybridstore {name}" not in text] == []


def test_documents_named_in_the_package_exist() -> None:
    missing = [
        f"{path.relative_to(REPOSITORY).as_posix()}: {name}"
        for path in sorted((REPOSITORY / "hybridstore").rglob("*.py"))
        for name in DOCUMENT_NAME.findall(path.read_text(encoding="utf-8"))
        if not (REPOSITORY / name).is_file()
    ]
    assert missing == []


def test_the_reference_of_datasets_is_that_of_the_declarations() -> None:
    written = (REPOSITORY / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert written == reference(Registry()), (
        "write reference(Registry()) of hybridstore.schema.markdown to the page"
    )


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_that_of_the_declarations(name: str) -> None:
    written = (REPOSITORY / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "python -m hybridstore.cli.reference docs/reference"


def test_the_reference_names_the_types_that_sql_has() -> None:
    import duckdb

    connection = duckdb.connect()
    registry = Registry()
    for dataset in (registry[name] for name in registry.public):
        connection.register("hot_rows", arrow_schema(dataset).empty_table())
        columns = connection.sql("from hot_rows")
        actual = dict(zip(columns.columns, map(str, columns.types), strict=True))
        assert {c.name: actual[c.name] for c in dataset.columns} == {
            c.name: SQL_TYPES[c.type][0] for c in dataset.columns
        }


def test_every_decision_is_in_the_index() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    decisions = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in decisions] == list(range(1, len(decisions) + 1))
    assert [name for name in decisions if f"({name})" not in index] == []


# -- what runs the documents, itself -------------------------------------------------------------------------------


def test_python_blocks_share_a_namespace(workplace: Path) -> None:
    text = "# A\n\n```python\nx = 1\n```\n\nand\n\n```python\nassert x == 1\n```\n\n```text\nnot code\n```\n"
    assert run_document(text, "a.md", workplace) == 2


def test_a_wrong_python_block_is_found_at_its_line(workplace: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_document("# A\n\n```python\nx = 1\nx / 0\n```\n", "a.md", workplace)
    assert caught.traceback[-1].lineno + 1 == 5


@pytest.mark.parametrize("language", ["bash", "console"])
def test_a_failing_command_is_found(language: str, workplace: Path) -> None:
    prompt = "$ " if language == "console" else ""
    with pytest.raises(AssertionError, match=r"a\.md:2: hybridstore status"):
        run_document(f"```{language}\n{prompt}hybridstore status --root nowhere\n```\n", "a.md", workplace)


def test_a_foreign_command_is_refused(workplace: Path) -> None:
    with pytest.raises(AssertionError, match="only hybridstore commands"):
        run_document("```bash\nrm -r x\n```\n", "a.md", workplace)


def test_an_unknown_setting_is_found(workplace: Path) -> None:
    with pytest.raises(ConfigError, match="cash_size_mb"):
        run_document("```toml\n[database]\ncash_size_mb = 1\n```\n", "a.md", workplace)


def test_broken_links_are_found() -> None:
    document = REPOSITORY / "README.md"
    text = "# One two\n[a](nowhere.md) [b](#one-two) [c](#three) [d](LICENSE) [e](https://example.org/x)\n"
    assert broken_links(document, text) == ["nowhere.md", "#three"]
