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
# # A year of ticks
#
# Public trades of thirteen months, archived as they grow old: warm by day, cold by month, frozen by year. VWAP, candles
# and a volume profile are computed from the ticks themselves, over all tiers, and compared with what was drawn.

# %%
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from hybridstore import HybridStore, ManualClock, RetentionPolicy
from hybridstore.clock import DAY_US

SYMBOL = "BTC/USDT"
BEGUN, DAYS, BUSY_DAY = datetime(2024, 6, 26, tzinfo=UTC), 400, 207
FIRST = int(BEGUN.timestamp()) // 86_400  # days since 1970
# By default a year is frozen when all of it is older than 365 days; 90 show it earlier.
policy = RetentionPolicy(name="ticks", table_name="market_trades", cold_retention_days=90)
folder = tempfile.TemporaryDirectory()
clock = ManualClock(FIRST * DAY_US)
store = HybridStore(Path(folder.name) / "store", clock=clock, policies=[policy]).open()

# %% [markdown]
# ## Draw a year
#
# A random walk in whole cents and lots, with a seed: some 220 ticks a day, and one day on which the market runs. A real
# feed has millions a day; the questions below are the same.

# %%
rng = np.random.default_rng(3)
days, level = [], 60_000_00
for day in range(DAYS):
    count = 8_000 if day == BUSY_DAY else int(rng.integers(180, 260))
    stride = 800 if day == BUSY_DAY else 3_000
    cents = np.maximum(level + rng.integers(-stride, stride + 8, count).cumsum(), 1_000_00)
    level = int(cents[-1])
    at_us = np.sort(rng.integers(0, DAY_US, count)) + (FIRST + day) * DAY_US
    days.append(
        (
            cents.tolist(),
            rng.integers(1, 90_000, count).tolist(),
            rng.integers(0, 2, count).tolist(),
            at_us.tolist(),
        )
    )
ticks = sum(len(cents) for cents, *_ in days)
lots = sum(sum(amounts) for _, amounts, *_ in days)
cents_lots = sum(
    cent * amount for cents, amounts, *_ in days for cent, amount in zip(cents, amounts, strict=True)
)
print(f"{ticks:,} ticks, volume {Decimal(lots) / 100_000}, value {Decimal(cents_lots) / 10**7}")

# %% [markdown]
# ## Record it, and let it grow old
#
# Every hundred days what is old enough moves. The question before a move and the question after it have the same
# answer; so has Python, which added whole numbers.

# %%
asked = "select count(*), count(distinct trade_id), sum(amount), sum(price::decimal(38, 8) * amount) from market_trades"
number = 0
for day, (cents, amounts, sides, at_us) in enumerate(days):
    clock.set((FIRST + day + 1) * DAY_US)
    store.record_market_trades(
        (
            (
                SYMBOL,
                number + place,
                Decimal(cent) / 100,
                Decimal(amount) / 100_000,
                ("buy", "sell")[side],
                at,
            )
            for place, (cent, amount, side, at) in enumerate(zip(cents, amounts, sides, at_us, strict=True))
        ),
        durability="normal",
    )
    number += len(cents)
    if day % 100 == 99:
        before = store.sql(asked).rows()
        moved = store.retention.run()
        assert store.sql(asked).rows() == before
        print(f"day {day + 1}: {moved.rows:,} rows moved, {moved.merged} files merged, the sums are the same")
assert before == [(ticks, ticks, Decimal(lots) / 100_000, Decimal(cents_lots) / 10**7)]

# %%
status = store.get_system_status()
tiers = {"hot": status["datasets"]["market_trades"]["hot_rows"]} | {
    tier: found["rows"] for tier, found in status["tiers"].items()
}
assert set(tiers) == {"hot", "warm", "cold", "frozen"}
assert sum(tiers.values()) == ticks
pl.DataFrame(
    [
        {"tier": tier, "rows": rows, "files": status["tiers"].get(tier, {}).get("files")}
        | {
            "bytes_a_tick": round(status["tiers"][tier]["size_bytes"] / rows, 1)
            if tier in status["tiers"]
            else None
        }
        for tier, rows in tiers.items()
    ]
)

# %% [markdown]
# ## VWAP, minute by minute, of the busy day
#
# The condition on the dataset's own time opens the files of that month alone. A price that is
# widened to 38 digits times an amount is exact, or an error where it does not fit; `ddiv` divides to 18 places, where
# `/` would give a double.

# %%
busy = BEGUN + timedelta(days=BUSY_DAY)
vwap = store.sql(
    """
    select minute, ddiv(value, volume) as vwap, volume, ticks from (
        select time_bucket(interval 1 minute, traded_at) as minute,
               sum(price::decimal(38, 8) * amount) as value, sum(amount) as volume, count(*) as ticks
        from market_trades
        where symbol = $symbol and traded_at >= $start and traded_at < $end
        group by all
    ) order by minute
    """,
    symbol=SYMBOL,
    start=busy,
    end=busy + timedelta(days=1),
)
cents, amounts, _, at_us = (np.array(column, dtype=object) for column in days[BUSY_DAY])
minute_of = at_us // 60_000_000
drawn = []
for minute in sorted(set(minute_of)):
    within = minute_of == minute
    value, volume = int((cents[within] * amounts[within]).sum()), int(amounts[within].sum())
    drawn.append((Decimal(value) / 100 / volume).quantize(Decimal("1e-18")))
assert [row[1] for row in vwap.rows()] == drawn  # to the last of eighteen places
vwap

# %% [markdown]
# ## Candles of all days
#
# Open and close by the exchange's number of the trade: two ticks of one microsecond have an order, too.

# %%
candles = store.sql("""
    select time_bucket(interval 1 day, traded_at) as day, arg_min(price, trade_id) as open, max(price) as high,
           min(price) as low, arg_max(price, trade_id) as close, sum(amount) as volume, count(*) as ticks
    from market_trades where symbol = 'BTC/USDT' group by all order by day
""")
by_hand = [
    tuple(Decimal(cent) / 100 for cent in (cents[0], max(cents), min(cents), cents[-1])) for cents, *_ in days
]
assert [row[1:5] for row in candles.rows()] == by_hand
assert sum(row[6] for row in candles.rows()) == ticks
candles.pl().head(5)

# %% [markdown]
# They can be kept as candles of their own, next to the ticks: `store.record_candles` takes the rows.

# %%
kept = store.record_candles((SYMBOL, "1d", *row[:6]) for row in candles.rows())
assert kept.inserted == DAYS
busiest = store.sql(
    "select opened_at, open, high, low, close, volume from candles order by volume desc limit 3"
)
assert busiest.rows()[0][0] == busy
busiest

# %% [markdown]
# ## Where the volume was
#
# A volume profile: levels of 500, the one with the most volume (the point of control), and the busiest ones, which
# together have seven tenths of all volume.

# %%
profile = store.sql("""
    with levels as (
        select (floor(price / 500) * 500)::integer as level, sum(amount) as volume,
               sum(amount) filter (where side = 'buy') as bought, count(*) as ticks
        from market_trades where symbol = 'BTC/USDT' group by all
    ),
    ranked as (
        select *, sum(volume) over (order by volume desc, level) - volume as larger, sum(volume) over () as whole
        from levels
    )
    select level, volume, bought, ticks, round((volume / whole)::double, 4) as share, larger < 0.7 * whole as busy
    from ranked order by level
""")
assert sum(row[1] for row in profile.rows()) == Decimal(lots) / 100_000
assert sum(row[3] for row in profile.rows()) == ticks
control = max(profile.rows(), key=lambda row: row[1])
print("point of control", control[0], "busy", [row[0] for row in profile.rows() if row[5]])
profile

# %% [markdown]
# ## The same with polars
#
# Who pressed, by month: what takers bought less what they sold. polars reads 3 columns of the files and of the hot
# rows.

# %%
amount = pl.col("amount")
pressure = (
    store.scan("market_trades", symbol=SYMBOL)
    .group_by(pl.col("traded_at").dt.truncate("1mo").alias("month"))
    .agg(
        amount.filter(pl.col("side") == "buy").sum().alias("bought"),
        amount.filter(pl.col("side") == "sell").sum().alias("sold"),
    )
    .with_columns((pl.col("bought") - pl.col("sold")).alias("pressure"))
    .sort("month")
    .collect()
)
assert pressure["bought"].sum() + pressure["sold"].sum() == Decimal(lots) / 100_000
assert pressure["bought"].sum() == sum(row[2] for row in profile.rows())
pressure

# %%
store.close()
folder.cleanup()
