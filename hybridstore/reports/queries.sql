-- What the report asks, of one snapshot over every tier. Prices are widened before they are multiplied: DuckDB
-- keeps the product of two DECIMAL(18) in 18 digits and refuses larger ones. The first group is also what a move is
-- proved by: the same answers, to the last digit, before and after.

-- name: proof_market_trades
-- Market trades by symbol: count, exact sums of amount and of price times amount, first and last.
SELECT
    symbol,
    count(*) AS trades,
    sum(amount) AS amount,
    sum(CAST(price AS DECIMAL(38, 8)) * amount) AS notional,
    count(*) FILTER (WHERE side = 'buy') AS buys,
    min(traded_at) AS first_at,
    max(traded_at) AS last_at
FROM market_trades
GROUP BY symbol
ORDER BY symbol;

-- name: proof_fills
-- Own fills by symbol and side: count, exact sums of amount, quote amount, fees and realised profit.
SELECT
    symbol,
    side,
    count(*) FILTER (WHERE amount > 0) AS fills,
    sum(amount) AS amount,
    sum(quote_amount) AS quote_amount,
    sum(fee_in_quote) AS fees,
    sum(realized_pnl) AS realized
FROM trades
GROUP BY symbol, side
ORDER BY symbol, side;

-- name: proof_ledger
-- Ledger entries by asset and type: count and exact sum.
SELECT asset, type, count(*) AS entries, sum(amount) AS amount
FROM ledger
GROUP BY asset, type
ORDER BY asset, type;

-- name: proof_balances
-- Balance history by asset: reports, exact sum of changes, lowest, highest and last balance.
SELECT
    asset,
    count(*) AS reports,
    sum(change) AS change,
    min(balance) AS lowest,
    max(balance) AS highest,
    arg_max(balance, id) AS last
FROM balance_history
GROUP BY asset
ORDER BY asset;

-- name: proof_orders
-- Orders by symbol and status: count, exact sums of what was filled and of its cost.
SELECT symbol, status, count(*) AS orders, sum(filled) AS filled, sum(cost) AS cost
FROM orders
GROUP BY symbol, status
ORDER BY symbol, status;

-- name: proof_positions
-- Positions by symbol and status: count, exact sums of realised profit and fees, best and worst excursion.
SELECT
    symbol,
    status,
    count(*) AS positions,
    sum(realized_pnl) AS realized,
    sum(fees) AS fees,
    max(max_favourable) AS best,
    min(max_adverse) AS worst
FROM positions
GROUP BY symbol, status
ORDER BY symbol, status;

-- name: proof_position_events
-- Changes of positions by symbol and kind: count, exact sums of amounts and realised profit.
SELECT symbol, kind, count(*) AS events, sum(amount_delta) AS amount, sum(realized_delta) AS realized
FROM position_events
GROUP BY symbol, kind
ORDER BY symbol, kind;

-- name: proof_equity
-- Portfolio snapshots by account and base currency: count, first, lowest, highest and last equity.
SELECT
    account,
    base_currency,
    count(*) AS snapshots,
    arg_min(equity, taken_at) AS first,
    min(equity) AS lowest,
    max(equity) AS highest,
    arg_max(equity, taken_at) AS last
FROM portfolio_snapshots
GROUP BY account, base_currency
ORDER BY account, base_currency;

-- name: equity_curve
-- Equity of an account over time, with the highest so far and what was deposited or withdrawn since the point before.
-- Snapshots that lack a price are no points: their flows count for the next.
WITH snapshots AS (
    SELECT taken_at, equity, unpriced, sum(net_flow) OVER (ORDER BY taken_at) AS flows
    FROM portfolio_snapshots
    WHERE account = $account AND base_currency = $base_currency
)
SELECT
    taken_at,
    equity,
    max(equity) OVER (ORDER BY taken_at) AS peak,
    flows - coalesce(lag(flows) OVER (ORDER BY taken_at), 0) AS net_flow
FROM snapshots
WHERE unpriced IS NULL
ORDER BY taken_at;

-- name: symbol_totals
-- Market data and the account's own fills by symbol.
WITH market AS (
    SELECT symbol, count(*) AS trades, sum(amount) AS amount, sum(CAST(price AS DECIMAL(38, 8)) * amount) AS notional
    FROM market_trades
    WHERE $with_market
    GROUP BY symbol
),
own AS (
    SELECT
        symbol,
        count(*) FILTER (WHERE amount > 0) AS fills,
        sum(quote_amount) AS volume,
        sum(fee_in_quote) AS fees,
        sum(realized_pnl) AS realized,
        count(*) FILTER (WHERE realized_pnl > 0) AS wins,
        count(*) FILTER (WHERE realized_pnl < 0) AS losses
    FROM trades
    WHERE account = $account
    GROUP BY symbol
)
SELECT
    symbol,
    coalesce(market.trades, 0),
    coalesce(market.amount, 0),
    coalesce(market.notional, 0),
    coalesce(own.fills, 0),
    coalesce(own.volume, 0),
    coalesce(own.fees, 0),
    coalesce(own.realized, 0),
    coalesce(own.wins, 0),
    coalesce(own.losses, 0)
FROM market
FULL JOIN own USING (symbol)
ORDER BY symbol;

-- name: ledger_sums
-- Sum of all ledger entries of an account by asset.
SELECT asset, sum(amount) AS booked
FROM ledger
WHERE account = $account
GROUP BY asset
ORDER BY asset;

-- name: reported_balances
-- The latest balance of each asset of an account.
SELECT asset, balance
FROM balances
WHERE account = $account
ORDER BY asset;

-- name: example_question
-- What the demo suggests to ask on the command line.
SELECT symbol, count(*) AS trades, sum(amount) AS amount
FROM market_trades
GROUP BY symbol
