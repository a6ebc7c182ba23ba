"""Pages with checksums: damage on disk is found, and nobody writes such a store without them.

Everything runs in processes of its own, because loading the extension changes what SQLite uses by default.
"""

from __future__ import annotations

from pathlib import Path

from hybridstore.config import DATABASE_NAME
from tests.hot.children import run

_RESERVED = 20
"""Where a database file says how many bytes it reserves in each page."""
NEEDLE = b"a reason that can be found in the file"

FILL = """
import sys
from hybridstore import DatabaseConfig, HybridStore

config = DatabaseConfig(database_path=sys.argv[1] + "/trading_bot.db", page_checksums=sys.argv[2] == "checked")
with HybridStore(config=config) as store:
    reason = "a reason that can be found in the file"
    store.batch_update_balances([{"asset": f"A{number}", "balance": number, "reason": reason} for number in range(200)])
    print(store.database.config.page_checksums)
"""

READ = """
import sys
from hybridstore import HybridStore, StoreCorrupt

with HybridStore(sys.argv[1]) as store:
    try:
        rows = store.database.readers.rows("SELECT reason FROM balance_history")
        print("read", len(rows), len(set(rows)))
    except StoreCorrupt as error:
        assert error.path == str(store.database.path) and error.hint, error
        print("corrupt")
"""

WRITE_WITH_DEFAULTS = """
import sys
from hybridstore import HybridStore

with HybridStore(sys.argv[1]) as store:
    store.batch_update_balances(
        [(f"B{number}", number, 0, "x" * 100, None, None, None, None, None, None) for number in range(5000)]
    )
"""

BESIDE = """
import apsw, sys
from hybridstore import DatabaseConfig, HybridStore

checked = HybridStore(config=DatabaseConfig(database_path=sys.argv[1] + "/checked/trading_bot.db", page_checksums=True))
with checked, HybridStore(sys.argv[1] + "/plain") as plain:
    for store in (checked, plain):
        store.record_balance_update("BTC", 1)
        name = store.database.writer.call(lambda session: session.connection.vfsname("main"))
        print(name.split("/")[0], store.database.config.page_checksums)
"""

MIGRATE = """
import sys
from hybridstore import DatabaseConfig, HybridStore
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.schema.migrations import MIGRATIONS, Migration

step = Migration(version=2, name="second", statements=("CREATE TABLE second (id INTEGER PRIMARY KEY) STRICT",))
with HybridStore(sys.argv[1]) as store:
    SchemaManager(store.database, (*MIGRATIONS, step)).initialize()
    (backup,) = (store.root / "backups").rglob("*.db")
(store.root.parent / "restored").mkdir()
backup.rename(store.root.parent / "restored" / "trading_bot.db")
with HybridStore(store.root.parent / "restored") as restored:
    print(restored.database.config.page_checksums, len(restored.get_all_balances()))
"""


def flip(path: Path, needle: bytes) -> None:
    """Change one bit of a row on disk."""
    content = bytearray(path.read_bytes())
    content[content.rindex(needle) + 3] ^= 1
    path.write_bytes(content)


def test_damage_on_disk_is_found(root: Path) -> None:
    assert run(FILL, root, "checked") == "True\n"
    path = root / DATABASE_NAME
    assert path.read_bytes()[_RESERVED] == 8
    assert run(READ, root) == "read 200 1\n"
    flip(path, NEEDLE)
    assert run(READ, root) == "corrupt\n"


def test_without_checksums_the_same_damage_is_read_as_data(root: Path) -> None:
    """What the option is for; the plain store relies on its backups to find this."""
    assert run(FILL, root, "plain") == "False\n"
    assert (root / DATABASE_NAME).read_bytes()[_RESERVED] == 0
    flip(root / DATABASE_NAME, NEEDLE)
    assert run(READ, root) == "read 200 2\n"


def test_who_opens_it_with_other_settings_still_writes_checksums(root: Path) -> None:
    """One checkpoint without them would make healthy pages look damaged."""
    run(FILL, root, "checked")
    run(WRITE_WITH_DEFAULTS, root)
    assert run(READ, root) == "read 5200 2\n"
    assert run(FILL, root, "plain") == "True\n"
    flip(root / DATABASE_NAME, NEEDLE)
    assert run(READ, root) == "corrupt\n"


def test_a_plain_store_stays_plain(root: Path) -> None:
    run(FILL, root, "plain")
    assert run(FILL, root, "checked") == "False\n"
    assert run(READ, root) == "read 400 1\n"


def test_two_kinds_of_store_in_one_process(tmp_path: Path) -> None:
    lines = run(BESIDE, tmp_path).splitlines()
    assert lines[0] == "cksm True"
    assert lines[1] in {"unix False", "win32 False"}


def test_the_backup_of_a_migration_keeps_its_checksums(root: Path) -> None:
    run(FILL, root, "checked")
    assert run(MIGRATE, root) == "True 200\n"
