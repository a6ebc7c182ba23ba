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
# # First look
#
# A store, a few minutes of a bot's life, and questions about it. Everything happens in a temporary folder; run the cells
# from top to bottom.

# %%
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hybridstore import HybridStore
from hybridstore.errors import QueryFailed, UnknownDataset

folder = tempfile.TemporaryDirectory()
root = Path(folder.name) / "store"
store = HybridStore(root).open()
began = datetime.now(UTC) - timedelta(hours=1)

# %% [markdown]
# ## What a bot tells
#
# Each call comes back when the write is durable. Fills book positions and the ledger; told twice, they count once.

# %%
store.record_balance_update("USDT", Decimal("10000"), source="rest")
for number, (side, price) in enumerate([("buy", "61000"), ("buy", "60800"), ("sell", "61500")]):
    fill = store.record_fill(
        "BTC/USDT",
        side,
        price,
        "0.01",
        fee="0.6",
        fee_currency="USDT",
        trade_id=f"t{number}",
        order_id=f"o{number}",
        strategy="swing",
        executed_at=began + timedelta(minutes=number),
    )
store.record_mark("BTC/USDT", bid="61499", ask="61501")
fill.position

# %% [markdown]
# ## One question
#
# Datasets by name, DuckDB's SQL. The result is exact: money is `Decimal`, times are aware datetimes.

# %%
by_side = store.sql("select side, sum(amount) as amount, sum(quote_amount) as spent from trades group by all order by side")
by_side

# %%
assert by_side.rows() == [("buy", Decimal("0.02"), Decimal("1218.000000")), ("sell", Decimal("0.01"), Decimal("615.0000"))]
by_side.pl()

# %% [markdown]
# Parameters are written `$name`. Several questions about one moment share a snapshot: what is committed meanwhile is not in it.

# %%
with store.snapshot() as moment:
    before = moment.sql("select count(*) from trades where executed_at >= $since", since=began).rows()
    store.record_fill("BTC/USDT", "sell", "61600", "0.01", trade_id="t3", order_id="o3")
    after = moment.sql("select count(*) from trades where executed_at >= $since", since=began).rows()
assert before == after == [(3,)]
assert store.sql("select count(*) from trades").rows() == [(4,)]

# %% [markdown]
# ## Errors that help
#
# A name that is not there says which one is meant. What would write is refused.

# %%
for wrong in ("select quantity from trades", "select * from trade", "select timestamp from trades"):
    try:
        store.sql(wrong)
    except (QueryFailed, UnknownDataset) as error:
        print(error)
        assert "did you mean" in str(error)

# %% [markdown]
# ## What it is worth

# %%
summary = store.get_portfolio_summary()
print(summary.equity, summary.unrealized_pnl, summary.unpriced)
store.books.trades().by("all")

# %%
store.close()
folder.cleanup()
