# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Archives with polars
#
# History moves by itself from SQLite into Parquet: warm files of a day, cold files of a month, frozen files of a year.
# `store.scan` reads a dataset over all of it as a polars LazyFrame, and no answer changes when rows move.

# %%
import re
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import polars as pl

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US

BEGUN = datetime(2024, 10, 4, tzinfo=UTC)
folder = tempfile.TemporaryDirectory()
clock = ManualClock(int(BEGUN.timestamp()) * 1_000_000)  # stands still until the notebook moves it
store = HybridStore(Path(folder.name) / "store", clock=clock).open()

# %% [markdown]
# ## Two months of fills
#
# A random walk with a seed. `durability="normal"` skips the flush of every single commit: good for loading, not for
# trading.

# %%
rng = Random(7)
prices = {"BTC/USDT:USDT": Decimal(60_000), "ETH/USDT:USDT": Decimal(3_000)}
for number in range(1_500):
    clock.advance(DAY_US // 25)
    symbol = rng.choice(list(prices))
    prices[symbol] = (prices[symbol] * rng.randint(990, 1010) / 1000).quantize(Decimal("0.01"))
    store.record_fill(
        symbol,
        rng.choice(["buy", "sell"]),
        prices[symbol],
        Decimal(rng.randint(1, 50)) / 1000,
        fee="0.05",
        fee_currency="USDT",
        trade_id=f"t{number}",
        order_id=f"o{number}",
        strategy=rng.choice(["grid", "trend"]),
        durability="normal",
    )
asked = """
    select symbol, side, count(*) as fills, sum(quote_amount) as volume, sum(realized_pnl) as realised, sum(fee) as fees
    from trades group by all order by all
"""
hot = store.sql(asked)
hot

# %% [markdown]
# ## Move what is old
#
# What is older than seven days leaves the hot store. Beside a bot the maintenance process does this all the time; here
# it is asked to. Plan first, then run, then the same question: the same answer to the last digit.

# %%
planned = store.retention.plan()
print(f"{len(planned)} moves, the first: {planned[0].reason}")
moved = store.retention.run()
print(f"{moved.rows:,} rows moved; {moved.merged} files of days became files of a month")
assert moved.rows == sum(one.row_count for one in planned)
assert store.sql(asked).rows() == hot.rows()

# %% [markdown]
# Files that a month's file replaced stay for a day, for whoever opened a question before. Two days later they are gone.

# %%
clock.advance(2 * DAY_US)
print(store.retention.run().collected, "replaced files deleted")
counts = store.get_system_status()["datasets"]["trades"]
tiers = {name: found["rows"] for name, found in store.get_system_status()["tiers"].items()}
print(counts, tiers)
assert counts["hot_rows"] + counts["archived_rows"] == 1_500
assert set(tiers) == {"warm", "cold"}
files = pl.DataFrame(
    [
        {
            "tier": path.relative_to(store.root).parts[1],
            "file": path.name.rsplit("-", 1)[0],  # what follows is drawn by chance: no name is used twice
            "rows": pl.scan_parquet(path).select(pl.len()).collect().item(),
        }
        for path in store.root.glob("archives/*/trades/**/*.parquet")
    ]
).sort("tier", "file")
assert files["rows"].sum() == counts["archived_rows"]
files

# %% [markdown]
# ## LazyFrames
#
# `start`, `end` and `symbol` choose which files are opened at all: one of them here. Filters and columns of your own
# are pushed down into those that are: polars reads 3 columns of 27, and only row groups that can hold a match.

# %%
start, end = BEGUN + timedelta(days=10), BEGUN + timedelta(days=13)
lazy = store.scan("trades", start=start, end=end, symbol="BTC/USDT:USDT")
everything = store.scan("trades")
print(re.sub(r"\[[^\]]*[/\\]([\w-]+)-\w{32}", r"[\1", lazy.select("executed_at", "price").explain()))
lazy.select("executed_at", "side", "price", "amount").sort("executed_at").head(5).collect()

# %% [markdown]
# Group lazily, collect once. polars sums `Decimal(38, 18)` exactly, so it agrees with SQL digit by digit, and both with
# Python.

# %%
per_day = (
    lazy.group_by(pl.col("executed_at").dt.date().alias("day"), "side")
    .agg(pl.col("quote_amount").sum().alias("volume"), pl.len().alias("fills"))
    .sort("day", "side")
    .collect()
)
by_sql = store.sql(
    "select executed_at::date as day, side, sum(quote_amount) as volume, count(*) as fills from trades "
    "where symbol = 'BTC/USDT:USDT' and executed_at >= $start and executed_at < $end group by all order by all",
    start=start,
    end=end,
)
assert per_day.rows() == by_sql.rows()
assert per_day["volume"].sum() == sum(row[0] for row in lazy.select("quote_amount").collect().rows())
per_day

# %% [markdown]
# What exactness is worth: the same sum in doubles misses the fees by a hair, and a reconciliation that compares with
# `==` would report a difference that is not there. Cast to floats at the very end, for a chart.

# %%
fee = pl.col("fee")
exact, rounded = (
    everything.select(fee.sum(), fee.cast(pl.Float64).cum_sum().last().alias("float")).collect().row(0)
)
print(exact, "exact;", repr(rounded), "in doubles")
assert exact == 1_500 * Decimal("0.05")
assert Decimal(rounded) != exact

# %%
curve = (
    everything.sort("executed_at", "id")
    .with_columns(pl.col("net_pnl").fill_null(0).cum_sum().over("strategy", order_by="id").alias("made"))
    .group_by_dynamic("executed_at", every="1w", group_by="strategy")
    .agg(pl.col("made").last(), pl.len().alias("fills"))
    .sort("strategy", "executed_at")
    .collect()
)
assert curve["fills"].sum() == 1_500
curve.with_columns(pl.col("made").cast(pl.Float64))  # from here on it is a drawing

# %% [markdown]
# ## Several questions, one moment
#
# Two scans are two moments, and a bot may trade between them. A snapshot holds one: LazyFrames and SQL in it agree with
# each other, whatever is committed or moved meanwhile.

# %%
with store.snapshot() as moment:
    fills = moment.scan("trades")
    clock.advance(10 * DAY_US)  # the bot goes on, and more history moves
    store.record_fill("BTC/USDT:USDT", "buy", "61000", "0.01", trade_id="later", order_id="later")
    again = store.retention.run()
    told = moment.sql("select count(*), sum(quote_amount) from trades").rows()[0]
    assert fills.select(pl.len(), pl.col("quote_amount").sum()).collect().row(0) == told
    assert told == (1_500, sum(row[3] for row in hot.rows()))
    ledger = moment.sql("select sum(amount) from ledger where type = 'fee'").rows()[0][0]
    assert ledger == -exact
print(f"{again.rows:,} more rows moved; {told[0]:,} fills in the moment")
assert store.scan("trades").select(pl.len()).collect().item() == 1_501

# %% [markdown]
# A LazyFrame may be collected later, for a week or until the store is closed: the files it names are kept so long, even
# where they were merged since.

# %%
clock.advance(30 * DAY_US)
store.retention.run()
assert everything.select(pl.len()).collect().item() == 1_500  # as of the call of scan
print(store.get_system_status()["datasets"]["trades"])

# %%
store.close()
folder.cleanup()
