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
# # DuckDB over hot rows and archives
#
# One SQL question sees the rows of the last minutes in SQLite and years of Parquet as one table. This notebook joins
# them, looks back with windows, multiplies money exactly, asks what was known earlier, stops what takes too long, and
# hands a connection out for SQL of any kind.

# %%
import re
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.errors import QueryError, QueryFailed, QueryTimeout

BEGUN = datetime(2024, 10, 4, tzinfo=UTC)
SYMBOL = "BTC/USDT:USDT"
folder = tempfile.TemporaryDirectory()
clock = ManualClock(int(BEGUN.timestamp()) * 1_000_000)
store = HybridStore(Path(folder.name) / "store", clock=clock).open()

# %% [markdown]
# ## Forty days
#
# A market with a candle an hour, a bot that trades ten times a day by two strategies, all drawn with a seed. Then
# history moves: the last week stays in SQLite, the rest becomes Parquet.

# %%
rng = Random(11)
price, candles = 50_000, []
for hour in range(40 * 24):
    opened, price = price, price + rng.randint(-300, 310)
    wick = rng.randint(0, 90)
    opened_at = BEGUN + timedelta(hours=hour)
    high, low = max(opened, price) + wick, min(opened, price) - wick
    candles.append((SYMBOL, "1h", opened_at, opened, high, low, price, rng.randint(5, 90)))
fills = sorted(rng.sample(range(len(candles)), 400))
for number, hour in enumerate(fills):
    opened_at, low, high = candles[hour][2], candles[hour][5], candles[hour][4]
    clock.set(int(opened_at.timestamp() + 1800) * 1_000_000)
    store.record_fill(
        SYMBOL,
        "buy" if number % 4 < 2 else "sell",
        rng.randint(low, high),
        "0.0123",
        fee="0.37",
        fee_currency="USDT",
        trade_id=f"t{number}",
        order_id=f"o{number}",
        strategy="grid" if number % 8 < 4 else "trend",
        durability="normal",
    )
clock.set(int(BEGUN.timestamp()) * 1_000_000 + 40 * DAY_US)
store.record_candles(candles)
asked = "select count(*), sum(quote_amount), sum(realized_pnl), sum(fee) from trades"
before = store.sql(asked).rows()
moved = store.retention.run()
counts = {name: store.get_system_status()["datasets"][name] for name in ("trades", "candles")}
print(f"{moved.rows:,} rows moved", counts)
assert all(min(one.values()) > 0 for one in counts.values())  # both datasets lie in both tiers now
assert store.sql(asked).rows() == before
store.sql(asked)

# %% [markdown]
# ## Joins
#
# `asof join` finds the candle that each fill fell into: where in its range did the bot buy, where did it sell? 0 is the
# low and 1 the high, so a good buyer is near 0 and a good seller near 1. It costs one pass over both tables, wherever
# their rows lie.

# %%
quality = store.sql("""
    select strategy, side, count(*) as fills,
           round(avg((price - low)::double / (high - low)::double), 3) as place_in_range,
           count(*) filter (where price < low or price > high) as outside
    from trades asof join candles on trades.symbol = candles.symbol and executed_at >= opened_at
    group by all order by all
""")
assert sum(row[2] for row in quality.rows()) == 400
assert all(row[4] == 0 for row in quality.rows())  # no fill fell into a wrong hour
quality

# %% [markdown]
# ## Windows
#
# Profit by week, what it adds up to, and how far below its best each strategy was: sums of sums, over rows of both
# tiers.

# %%
weeks = store.sql("""
    with made as (
        select strategy, date_trunc('week', executed_at) as week, count(*) as fills,
               sum(coalesce(realized_pnl, 0) - fee) as made
        from trades group by all
    ),
    curve as (select *, sum(made) over so_far as total from made window so_far as (partition by strategy order by week))
    select *, total - max(total) over (partition by strategy order by week) as below_best
    from curve order by strategy, week
""")
last_totals = [row[4] for row in weeks.rows() if row[1] == max(row[1] for row in weeks.rows())]
assert sum(last_totals) == before[0][2] - before[0][3]
weeks

# %% [markdown]
# `lag` looks at the fill before. How long does a strategy wait, and how far did the market go meanwhile?

# %%
gaps = store.sql("""
    select strategy, count(*) as steps, median(waited) as waited, max(waited) as longest, avg(abs(went)::double) as went
    from (
        select strategy, executed_at - lag(executed_at) over own as waited, price - lag(price) over own as went
        from trades window own as (partition by strategy order by executed_at)
    )
    where waited is not null group by all order by all
""")
assert sum(row[1] for row in gaps.rows()) == 400 - 2  # the first of each has none before it
gaps

# %% [markdown]
# ## Exact products
#
# DuckDB gives a product as many places as both factors have together, and `DECIMAL(38, 18)` times itself does not fit:
# an error from 100 up. It divides to a double. `dmul` and `ddiv` are exact to 18 places; `dmul_round` says that
# rounding is meant.

# %%
try:
    store.sql("select sum(price * amount) from trades")
except QueryFailed as error:
    print(error)
else:
    raise AssertionError("DuckDB can do it by now")
spent, booked, price = store.sql("""
    select sum(product), sum(quote_amount), ddiv(sum(product), sum(amount))
    from (select dmul(price, amount) as product, quote_amount, amount from trades where side = 'buy')
""").rows()[0]
print("spent", spent, "average price", price)
assert spent == booked
assert isinstance(price, Decimal)
assert store.sql("select ddiv(1, 3), dmul_round(0.1, 0.000000000000000005)").rows() == [
    (Decimal("0.333333333333333333"), Decimal(0)),
]

# %% [markdown]
# ## What a question costs
#
# `explain` shows the plan; `explain analyze` runs it and counts. A condition on a dataset's own time leaves the files
# of other days closed, before the engine sees them. One on a function of that time has the same answer and opens every
# file.

# %%
store.sql(
    "explain select sum(amount) from trades where executed_at >= '2024-10-20' and executed_at < '2024-10-21'"
)

# %%
narrow = "executed_at >= '2024-10-20' and executed_at < '2024-10-21'"
wide = "date_trunc('day', executed_at) = '2024-10-20'"
files_read, rows_found = {}, {}
for condition in (narrow, wide):
    question = f"select count(*) from trades where {condition}"
    files_read[condition] = int(
        re.search(r"Total Files Read: (\d+)", repr(store.sql(f"explain analyze {question}")))[1]
    )
    rows_found[condition] = store.sql(question).rows()
    print(f"{files_read[condition]:3} files: {condition}")
assert rows_found[narrow] == rows_found[wide]
assert files_read[narrow] == 1 < files_read[wide]

# %% [markdown]
# ## As the store knew things then
#
# An exchange corrects a fill of October. Its row is archived, so the correction is a new hot row that takes its place.
# The present has the new amount, the moment before has the old one: a backtest that asks this way does not look into
# the future.

# %%
then = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
clock.advance(DAY_US)
corrected = store.sql(
    "select symbol, side, price, executed_at, strategy from trades where trade_id = 't7'"
).rows()[0]
symbol, side, at, executed_at, strategy = corrected
store.record_fill(
    symbol,
    side,
    at,
    "0.0100",
    fee="0.30",
    fee_currency="USDT",
    trade_id="t7",
    order_id="o7",
    strategy=strategy,
    executed_at=executed_at,
)
one_fill = "select amount, fee from trades where trade_id = 't7'"
assert store.sql(one_fill).rows() == [(Decimal("0.0100"), Decimal("0.30"))]
assert store.sql(one_fill, as_known_at=then).rows() == [(Decimal("0.0123"), Decimal("0.37"))]
assert store.sql(asked, as_known_at=then).rows() == before
store.sql(asked)

# %% [markdown]
# What is not kept is refused instead of answered with something near it.

# %%
try:
    store.sql("select * from positions", as_known_at=then)
except ValueError as error:
    print(error)
else:
    raise AssertionError("only the present of a state is kept")

# %% [markdown]
# ## Stop
#
# A question that takes too long is given up, by its own limit or the store's (`[analytics]`, `timeout_s`), and Ctrl-C
# stops it. `cancel()` stops all that run, from any thread: a dashboard does that when its page is left.

# %%
ENDLESS = "select count(*) from range(1000000000) a, range(1000000) b where a.range + b.range = 7"
try:
    store.analytics.sql(ENDLESS, timeout_s=0.2)
except QueryTimeout as error:
    print(error)
else:
    raise AssertionError("it cannot be done yet")

# %%
ended = []


def ask() -> None:
    """Ask what takes for ever."""
    try:
        store.sql(ENDLESS)
    except QueryError as error:
        ended.append(error)


thread = threading.Thread(target=ask)
thread.start()
while thread.is_alive() and not store.analytics.cancel():  # it may not have begun yet
    thread.join(0.01)
thread.join()
print(ended[0])
assert isinstance(ended[0], QueryTimeout)
assert store.sql(asked).rows()[0][0] == 400  # and the store goes on

# %% [markdown]
# ## A DuckDB of one's own
#
# `store.connect()` has a view of each dataset as of the call, for `%sql` magics, for tables of your own, for another
# library. What is done there changes nothing of the store.

# %%
connection = store.connect()
connection.execute("create table mine as select * from trades where strategy = 'grid'")
connection.execute("update mine set amount = 0")
mine = connection.sql(
    "select side, count(*) as fills, sum(amount) as amount from mine group by all order by side"
).pl()
assert mine["amount"].sum() == 0
assert store.sql("select count(*) from trades where strategy = 'grid' and amount > 0").rows() == [
    (mine["fills"].sum(),)
]
mine

# %%
connection.close()
store.close()
folder.cleanup()
