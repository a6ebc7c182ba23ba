-- Everything the books of one account are made of.

-- name: fills
-- Fills, voided ones too.
SELECT symbol, trade_id, order_id, side, price, amount, contract_size, quote_amount, fee, fee_currency, fees,
  fee_in_quote, realized_pnl, net_pnl, position_side, epoch_us(executed_at) AS executed_us
FROM trades
WHERE account = $account
ORDER BY executed_at, id;

-- name: entries
-- Ledger entries, voided ones too.
SELECT entry_id, type, asset, amount, reference, epoch_us(occurred_at) AS occurred_us
FROM ledger
WHERE account = $account
ORDER BY occurred_at, id;

-- name: position_events
-- Changes of positions, in the order they were recorded.
SELECT position_id, seq, kind, symbol, trade_id, order_id, amount_delta, amount_after, realized_delta, cost_delta,
  fees_delta, funding_delta, entry_after, price, epoch_us(occurred_at) AS occurred_us
FROM position_events
WHERE account = $account
ORDER BY position_id, seq;

-- name: positions
-- Positions, open and closed.
SELECT position_id, symbol, side, status = 'OPEN' AS is_open, amount, entry_cost, realized_pnl, fees, funding,
  entry_price, peak_amount, contract_size, event_seq
FROM positions
WHERE account = $account
ORDER BY opened_at, position_id;

-- name: ledger_balances
-- What is kept as the sum of entries.
SELECT asset, amount, entries FROM ledger_balances WHERE account = $account;

-- name: portfolio_hourly
-- What is kept of each hour.
SELECT currency, epoch_us(period) AS start_us, equity_open, equity_high, equity_low, equity_close, net_flow, realized,
  funding, fees, other, volume, trade_count
FROM portfolio_hourly
WHERE account = $account;

-- name: portfolio_daily
-- What is kept of each day.
SELECT currency, epoch_us(period) AS start_us, equity_open, equity_high, equity_low, equity_close, net_flow, realized,
  funding, fees, other, volume, trade_count
FROM portfolio_daily
WHERE account = $account;

-- name: equities
-- Equities that lack nothing for want of a price.
SELECT base_currency, epoch_us(taken_at) AS taken_us, equity
FROM portfolio_snapshots
WHERE account = $account AND unpriced IS NULL;
