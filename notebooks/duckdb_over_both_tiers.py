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
# One SQL question sees the rows of the last minutes in SQLite and years of Parquet as one table. This notebook joins them,
# multiplies money exactly, looks at an earlier moment, and hands a connection out for SQL of any kind.

# %%
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from hybridstore import HybridStore, ManualClock
from hybridstore.errors import QueryRefused, QueryTimeout

DAY_US = 86_400_000_000
folder = tempfile.TemporaryDirectory()
clock = ManualClock(20_000 * DAY_US)
store = HybridStore(Path(folder.name) / "store", clock=clock).open()
for number in range(400):
    clock.advance(DAY_US // 10)
    store.record_fill(
        "BTC/USDT",
        "buy" if number % 4 < 2 else "sell",
        50_000 + number * 13 % 997,
        "0.0123",
        trade_id=f"t{number}",
        order_id=f"o{number}",
        strategy="grid" if number % 8 < 4 else "trend",
        durability="normal",
    )
store.retention.run()
tiers = store.get_system_status()["datasets"]["trades"]
print(tiers)
assert tiers["hot_rows"] > 0
assert tiers["archived_rows"] > 0

# %% [markdown]
# ## Joins and windows over everything

# %%
store.sql("""
    with weeks as (
        select trades.strategy, date_trunc('week', executed_at) as week, count(*) as fills, sum(net_pnl) as made
        from trades join positions using (position_id)
        where positions.status = 'CLOSED'
        group by all
    )
    select *, sum(made) over (partition by strategy order by week) as so_far from weeks order by all
""")

# %% [markdown]
# ## Exact products
#
# DuckDB multiplies two `DECIMAL(38, 18)` to an error from 100 up, and divides to a double. `dmul`, `dmul_round` and `ddiv` are
# exact, or say that they cannot be.

# %%
spent = store.sql("select sum(p) from (select dmul(price, amount) as p from trades where side = 'buy')").rows()[0][0]
told = store.sql("select sum(quote_amount) from trades where side = 'buy'").rows()[0][0]
assert spent == told
assert isinstance(spent, Decimal)
third = store.sql("select ddiv(1, 3)").rows()[0][0]
assert third == Decimal("0.333333333333333333")
spent

# %% [markdown]
# ## As the store knew things then
#
# A fill is corrected. The present has the new amount, an earlier moment the old one: no backtest looks into the future.

# %%
then = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
clock.advance(1_000_000)
last = ("BTC/USDT", "sell", 50_000 + 399 * 13 % 997)
store.record_fill(*last, "0.0100", trade_id="t399", order_id="o399", strategy="trend")
now = store.sql("select amount from trades where trade_id = 't399'").rows()
before = store.sql("select amount from trades where trade_id = 't399'", as_known_at=then).rows()
assert (now[0][0], before[0][0]) == (Decimal("0.01"), Decimal("0.0123"))

# %% [markdown]
# ## Limits
#
# A question that takes too long is stopped, one that would write is refused.

# %%
try:
    store.analytics.sql("select count(*) from range(1000000000) a, range(1000) b", timeout_s=0.2)
except QueryTimeout as error:
    print(error)
try:
    store.sql("delete from trades")
except QueryRefused as error:
    print(error)

# %%
print(store.sql("explain select sum(amount) from trades where executed_at < '2024-11-01'").rows()[0][1][:500])

# %% [markdown]
# ## A DuckDB of one's own
#
# `store.connect()` has a view of each dataset as of the call, for `%sql` magics, for tables of one's own, for another library.
# What is done there changes nothing of the store.

# %%
connection = store.connect()
connection.execute("create table mine as select * from trades where strategy = 'grid'")
mine = connection.sql("select side, count(*) as fills from mine group by all order by side").pl()
assert mine["fills"].sum() == store.sql("select count(*) from trades where strategy = 'grid'").rows()[0][0]
mine

# %%
connection.close()
store.close()
folder.cleanup()
