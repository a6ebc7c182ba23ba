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
# A store, eleven minutes of a market, a bot's first fills, and questions about them. Everything lies in a temporary
# folder and is the same on every machine; run the cells from top to bottom.

# %%
import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from hybridstore import HybridStore, HybridStoreError, ManualClock
from hybridstore.clock import SECOND_US
from hybridstore.demo.market import MarketTrade
from hybridstore.demo.simulated import simulate_market

tape = simulate_market()  # drawn from a seed, for trying things out
clock = ManualClock(tape.first_us)  # a bot leaves this out and has the machine's clock
folder = tempfile.TemporaryDirectory()
store = HybridStore(Path(folder.name) / "store", clock=clock).open()
print(tape.source, f"{len(tape):,} events", tape.symbols)

# %% [markdown]
# ## What the market did
#
# Public trades go in as the exchange tells them. Each has the exchange's number, so a feed that reconnects and sends
# the last minutes once more does no harm: what is told twice counts once.

# %%
SYMBOL = "BTC/USDT"
events = [event for batch in tape.batches() for event in batch]
ticks = [
    (one.symbol, one.trade_id, one.price, one.amount, one.side, one.traded_us)
    for one in events
    if isinstance(one, MarketTrade) and one.symbol == SYMBOL
]
clock.set(tape.last_us)
first = store.record_market_trades(ticks)
again = store.record_market_trades(ticks[-500:])
print(first, again, sep="\n")
assert (first.inserted, again.inserted, again.repeated) == (len(ticks), 0, 500)

# %% [markdown]
# Candles made of them, by one SQL question. The answer's rows are tuples that `record_candles` takes as they are.

# %%
minutes = store.sql(
    """
    select symbol, '1m' as timeframe, time_bucket(interval 1 minute, traded_at) as opened_at,
           arg_min(price, trade_id) as open, max(price) as high, min(price) as low,
           arg_max(price, trade_id) as close, sum(amount) as volume
    from market_trades where symbol = $symbol group by all order by opened_at
    """,
    symbol=SYMBOL,
)
store.record_candles(minutes.rows())
assert store.sql("select sum(volume) from candles").rows() == [(sum(tick[3] for tick in ticks),)]
minutes

# %% [markdown]
# ## What the bot did
#
# A call comes back when its commit is on the device. One fill is one commit, and it books everything that follows from
# it: the trade, its fee, the ledger, the position, and the sums of its hour and day.

# %%
store.record_ledger_entries([("default", "d-1", "deposit", "USDT", "5000", None, tape.first_us)])
closes = [(row[2], row[6]) for row in minutes.rows()]  # opened_at, close
for number, (side, minute) in enumerate([("buy", 1), ("buy", 4), ("sell", 8)]):
    opened_at, close = closes[minute]
    fill = store.record_fill(
        SYMBOL,
        side,
        close,
        "0.02",
        fee="1.25",
        fee_currency="USDT",
        trade_id=f"t-{number}",
        order_id=f"o-{number}",
        strategy="swing",
        executed_at=opened_at.replace(second=59),
    )
store.record_mark(SYMBOL, last=closes[-1][1])
print(fill.position.side, fill.position.amount, "at", fill.position.entry_price)
assert fill.trade.net_pnl == fill.trade.realized_pnl - Decimal("1.25")
store.sql(
    "select executed_at, side, price, amount, quote_amount, realized_pnl from trades order by executed_at"
)

# %% [markdown]
# ## One question, many forms
#
# Money comes back as `Decimal`, a time as an aware `datetime`; `.pl()` is a polars frame with `Decimal` columns and
# `.arrow()` an Arrow table. Nothing passes through a float on the way. In a notebook an answer shows itself as an HTML
# table.

# %%
by_side = store.sql(
    "select side, sum(amount) as amount, sum(quote_amount) as spent from trades where symbol = $symbol "
    "group by all order by side",
    symbol=SYMBOL,
)
bought = [price * Decimal("0.02") for price in (closes[1][1], closes[4][1])]
assert by_side.rows()[0] == ("buy", Decimal("0.04"), sum(bought))
by_side

# %%
by_side.pl()

# %%
assert pa.types.is_decimal(by_side.arrow().schema.field("spent").type)
assert by_side._repr_html_().startswith("<table>")  # what Jupyter asks for; texts in it are escaped
print(by_side)  # a terminal gets text
by_side.arrow().schema

# %% [markdown]
# Several questions about one moment share a snapshot. What is committed meanwhile is not in it, and the writer does not
# wait for it. Two figures of a report that must agree belong into one.

# %%
with store.snapshot() as moment:
    before = moment.sql("select count(*) from trades").rows()
    clock.advance(SECOND_US)
    store.record_fill(SYMBOL, "sell", closes[-1][1], "0.01", trade_id="t-3", order_id="o-3")
    assert moment.sql("select count(*) from trades").rows() == before == [(3,)]
assert store.sql("select count(*) from trades").rows() == [(4,)]

# %% [markdown]
# ## Errors that help
#
# An error names the value and says what to do. What would round money, guess a time zone, or write through a question
# is refused before anything happens.

# %%
for wrong in (
    lambda: store.record_balance_update("USDT", 1000.1),
    lambda: store.record_fill(
        SYMBOL, "buy", "61000", "0.01", trade_id="t-4", executed_at="2024-08-09T10:00:00"
    ),
    lambda: store.sql("select * from trade"),
    lambda: store.sql("select quantity from trades"),
    lambda: store.sql("select timestamp from trades"),
    lambda: store.sql("delete from trades"),
):
    try:
        wrong()
    except HybridStoreError as error:
        print(f"{type(error).__name__}: {error}\n")
    else:
        raise AssertionError("it was taken")
assert store.sql("select count(*) from trades").rows() == [(4,)]  # nothing of it was written

# %% [markdown]
# ## What it is worth
#
# A balance is what the exchange reports, the ledger is what the bot's own entries add up to. They agree here, and what
# the account is worth is what was paid in, plus what was made, less the fees: to the last digit.

# %%
ledger = store.sql("select asset, amount from ledger_balances order by asset").rows()
for asset, amount in ledger:
    store.record_balance_update(asset, amount, 0, "rest")
summary = store.get_portfolio_summary()
realised, fees = store.sql("select sum(realized_pnl), sum(fee) from trades").rows()[0]
print("equity", summary.equity, "realised", realised, "unrealised", summary.unrealized_pnl, "fees", fees)
assert summary.unpriced == ()
assert summary.equity == 5000 + realised + summary.unrealized_pnl - fees
store.get_balance_history("USDT").select("changed_at", "asset", "balance", "source")

# %% [markdown]
# `books.prove()` adds up all fills, entries and positions anew and compares them with what the store keeps. It passes
# over no difference, however small.

# %%
proof = store.books.prove()
print(f"{proof.fills} fills, {proof.entries} ledger entries, {proof.fault_count} faults")
assert proof.holds
assert {one.asset: one.booked for one in proof.assets} == dict(ledger)

# %%
store.close()
folder.cleanup()
