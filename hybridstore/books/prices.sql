-- Prices as they were. Each block gives, of every market asked for, the latest price at or before each moment asked for,
-- unless an earlier moment has it already: who wants the price of a moment goes back to the last one there is. The
-- conditions on time stand alone in the innermost FROM, so that files of other days stay closed.

-- name: candle_closes
-- Closes of candles that had closed. One that was never told again after it closed speaks of the moment it was told.
-- A timeframe is a number and a unit as exchanges write it: s, m, h, d, w, M. Of candles that closed together the
-- finest counts, which is the one that opened last. Candles of up to a day, or those that are longer.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
told AS (
  SELECT symbol, close, opened_at, recorded_at, right(timeframe, 1) AS unit,
    try_cast(left(timeframe, -1) AS INTEGER) AS units
  FROM candles
  WHERE opened_at >= $opened::TIMESTAMPTZ AND opened_at < $until::TIMESTAMPTZ
    AND symbol IN (SELECT unnest($symbols::VARCHAR[])) AND close > 0
),
closed AS (
  SELECT symbol, close, opened_at, recorded_at, opened_at + CASE unit
      WHEN 's' THEN to_seconds(units) WHEN 'm' THEN to_minutes(units) WHEN 'h' THEN to_hours(units)
      WHEN 'd' THEN to_days(units) WHEN 'w' THEN to_days(7 * units) WHEN 'M' THEN to_months(units)
    END AS closed_at
  FROM told
  WHERE units > 0
),
prices AS (
  SELECT symbol, close AS price, opened_at, closed_at, least(closed_at, greatest(recorded_at, opened_at)) AS priced_at
  FROM closed
  WHERE closed_at >= $since::TIMESTAMPTZ AND (closed_at - opened_at > to_days(1)) = $long::BOOLEAN
)
SELECT symbol, moment, arg_max(price, (priced_at, opened_at)) AS price, max(priced_at) AS priced_at
FROM prices ASOF JOIN asked ON prices.closed_at <= asked.moment
GROUP BY symbol, moment;

-- name: fill_prices
-- Prices of the bot's own fills, of every account; voided ones count nothing.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
prices AS (
  SELECT symbol, price, executed_at, id
  FROM trades
  WHERE executed_at >= $since::TIMESTAMPTZ AND executed_at <= $until::TIMESTAMPTZ
    AND symbol IN (SELECT unnest($symbols::VARCHAR[])) AND amount > 0
)
SELECT symbol, moment, arg_max(price, (executed_at, id)) AS price, max(executed_at) AS priced_at
FROM prices ASOF JOIN asked ON prices.executed_at <= asked.moment
GROUP BY symbol, moment;

-- name: trade_prices
-- Prices of public trades.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
prices AS (
  SELECT symbol, price, traded_at, trade_id
  FROM market_trades
  WHERE traded_at >= $since::TIMESTAMPTZ AND traded_at <= $until::TIMESTAMPTZ
    AND symbol IN (SELECT unnest($symbols::VARCHAR[])) AND price > 0
)
SELECT symbol, moment, arg_max(price, (traded_at, trade_id)) AS price, max(traded_at) AS priced_at
FROM prices ASOF JOIN asked ON prices.traded_at <= asked.moment
GROUP BY symbol, moment;

-- name: marks
-- The present marks.
SELECT symbol, mark, marked_at FROM marks;
