-- What an account held. What changed between one moment asked for and the next is one row, so that many moments cost
-- hardly more than one: the moment of a row is the first that knows of it.

-- name: ledger_changes
-- Sums of ledger entries by asset.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
entries AS (
  SELECT asset, amount, occurred_at
  FROM ledger
  WHERE occurred_at <= $until::TIMESTAMPTZ AND account = $account
)
SELECT moment, asset, sum(amount) AS amount
FROM entries ASOF JOIN asked ON entries.occurred_at <= asked.moment
GROUP BY moment, asset;

-- name: balance_reports
-- The last report of each asset that tells how much of it there is; of several of one moment the one that was told last.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
reports AS (
  SELECT asset, balance, changed_at, id
  FROM balance_history
  WHERE changed_at <= $until::TIMESTAMPTZ AND account = $account AND balance IS NOT NULL
)
SELECT moment, asset, arg_max(balance, (changed_at, id)) AS balance
FROM reports ASOF JOIN asked ON reports.changed_at <= asked.moment
GROUP BY moment, asset;

-- name: position_changes
-- Sums of position events by position.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
events AS (
  SELECT position_id, amount_delta, cost_delta, realized_delta, fees_delta, funding_delta, occurred_at
  FROM position_events
  WHERE occurred_at <= $until::TIMESTAMPTZ
    AND ($account::VARCHAR IS NULL OR account = $account::VARCHAR)
    AND ($symbol::VARCHAR IS NULL OR symbol = $symbol::VARCHAR)
)
SELECT moment, position_id, sum(amount_delta) AS amount, sum(cost_delta) AS cost, sum(realized_delta) AS realized,
  sum(fees_delta) AS fees, sum(funding_delta) AS funding, max(occurred_at) AS changed_at
FROM events ASOF JOIN asked ON events.occurred_at <= asked.moment
GROUP BY moment, position_id;

-- name: changed_later
-- Positions that something happened to after a moment, and whether their terms may have changed.
SELECT position_id, bool_or(kind = 'adjust') AS adjusted
FROM position_events
WHERE occurred_at > $at::TIMESTAMPTZ
GROUP BY position_id;

-- name: positions_of_ids
-- Positions of the ids asked for, open or closed, archived ones included.
SELECT position_id, account, symbol, side, status, amount, entry_price, entry_cost, mark_price, contract_size, inverse,
  leverage, margin_mode, liquidation_price, realized_pnl, fees, funding, opened_at, updated_at, closed_at, strategy, bot
FROM positions
WHERE position_id IN (SELECT unnest($ids::VARCHAR[]))
ORDER BY opened_at, position_id;

-- name: present_positions
-- Positions as they are now, in the order they were opened; closed ones where they are asked for.
SELECT position_id, account, symbol, side, status, amount, entry_price, entry_cost, mark_price, contract_size, inverse,
  leverage, margin_mode, liquidation_price, realized_pnl, fees, funding, opened_at, updated_at, closed_at, strategy, bot
FROM positions
WHERE (status = 'OPEN' OR $closed::BOOLEAN)
  AND ($account::VARCHAR IS NULL OR account = $account::VARCHAR)
  AND ($symbol::VARCHAR IS NULL OR symbol = $symbol::VARCHAR)
ORDER BY opened_at, position_id;

-- name: present_balances
-- What the exchange reported last.
SELECT asset, balance, debt, updated_at FROM balances WHERE account = $account;

-- name: present_ledger
-- What the ledger says is held.
SELECT asset, amount FROM ledger_balances WHERE account = $account;


-- name: books_begin
-- When the first entry of an account was.
SELECT min(occurred_at) FROM ledger WHERE account = $account;

-- name: reports_begin
-- When the first balance of an account was reported.
SELECT min(changed_at) FROM balance_history WHERE account = $account AND balance IS NOT NULL;

-- name: flow_changes
-- What came in from elsewhere, and what went out, by asset.
WITH asked AS (SELECT unnest($moments::TIMESTAMPTZ[]) AS moment),
entries AS (
  SELECT asset, amount, occurred_at
  FROM ledger
  WHERE occurred_at <= $until::TIMESTAMPTZ AND account = $account AND type IN ('deposit', 'withdrawal', 'transfer')
)
SELECT moment, asset, sum(amount) AS amount
FROM entries ASOF JOIN asked ON entries.occurred_at <= asked.moment
GROUP BY moment, asset;
