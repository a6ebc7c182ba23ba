-- Statements of the hot path. Those that write and find rows of a dataset by its key are generated from its
-- declaration (schema/sqlite.py: insert_<dataset>, upsert_<dataset>, find_<dataset>, rewrite_<dataset>).

-- name: live_schema
-- Name and text of everything in the database, to compare it with the declarations.
SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL

-- name: settings_between
-- Settings whose name lies in a range.
SELECT setting, value FROM settings WHERE setting >= ? AND setting < ?

-- name: commit_position
-- Number and time of the last commit; the first read of a snapshot, which fixes its moment.
SELECT seq, ts FROM commit_clock WHERE slot = 1

-- name: commit_identity
-- The same, with the mark by which the store is known for ever.
SELECT mark, seq, ts FROM commit_clock WHERE slot = 1

-- name: whole_schema
-- Everything in the database, to compare two databases as a whole.
SELECT name, sql FROM sqlite_schema ORDER BY type, name

-- name: whole_tables
-- Every table, for the same purpose; what ANALYZE and AUTOINCREMENT keep is of the database, too.
SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name

-- name: balances_of_account
-- Latest balance of every asset of an account, as one row.
SELECT json_group_array(json_array(account, asset, balance, hold_trade, available, debt, told, source, updated_at, recorded_at))
FROM balances WHERE account = ?

-- name: latest_balance
-- Latest balance of one asset: one search on the primary key.
SELECT account, asset, balance, hold_trade, available, debt, told, source, updated_at, recorded_at
FROM balances WHERE account = ? AND asset = ?

-- name: last_balance
-- What the change of the next balance is computed from.
SELECT balance, updated_at, source FROM balances WHERE account = ? AND asset = ?

-- name: open_position_ids
-- Ids of the open positions of a market, over all accounts: those a mark applies to.
SELECT position_id FROM positions WHERE symbol = ? AND status = 'OPEN'

-- name: open_positions
-- Every open position of an account, as one row.
SELECT json_group_array(json_array(id, position_id, account, symbol, side, status, amount, entry_price, entry_cost, mark_price, contract_size, inverse, leverage, margin_mode, liquidation_price, realized_pnl, fees, funding, peak_amount, max_favourable, max_adverse, opened_at, updated_at, closed_at, close_reason, event_seq, strategy, bot, recorded_at))
FROM positions WHERE account = ? AND status = 'OPEN'

-- name: archived_by_dataset_and_tier
-- What the manifest holds, for status.
SELECT dataset, tier, count(*), sum(row_count), sum(size_bytes)
FROM archive_files INDEXED BY archive_files_by_dataset_start_us
WHERE replaced_seq IS NULL GROUP BY dataset, tier

-- name: open_moves_in_all
-- How many moves have begun and not ended, and when the first of them began.
SELECT count(*), min(claimed_at) FROM archive_moves INDEXED BY archive_moves_by_dataset_start_us
WHERE state IN ('claimed', 'publishing')

-- name: schema_version
-- Version of the schema the store is at; 0 for a new one.
SELECT user_version FROM pragma_user_version

-- name: what_is_held
-- What an account's value comes from: balances and debts, open positions, and marks of the markets in a JSON list. One
-- statement is one moment, and one row: whenever SQLite is asked again, another thread may have the interpreter first.
SELECT
  (SELECT json_group_array(json_array(asset, balance, debt)) FROM balances WHERE account = :account),
  (SELECT json_group_array(json_array(position_id, symbol, updated_at, side, amount, entry_price, entry_cost, mark_price, contract_size,
    inverse, realized_pnl, fees, funding))
   FROM positions WHERE account = :account AND status = 'OPEN'),
  (SELECT json_group_array(json_array(symbol, mark, marked_at)) FROM json_each(:asked) CROSS JOIN marks ON symbol = value)

-- name: open_orders
-- Every open order of an account, as one row.
SELECT json_group_array(json_array(id, account, symbol, order_id, client_order_id, side, type, time_in_force, status, price,
  trigger_price, amount, filled, average, cost, reduce_only, post_only, created_at, updated_at,
  last_trade_at, strategy, bot, recorded_at))
FROM orders WHERE account = ? AND status = 'open'

-- name: open_orders_of_symbol
-- The open orders of an account in one market, as one row.
SELECT json_group_array(json_array(id, account, symbol, order_id, client_order_id, side, type, time_in_force, status, price,
  trigger_price, amount, filled, average, cost, reduce_only, post_only, created_at, updated_at,
  last_trade_at, strategy, bot, recorded_at))
FROM orders WHERE account = ? AND symbol = ? AND status = 'open'

-- name: last_trade
-- The fill of a market that was executed last, unless it is so old that a later one may be archived. One that was
-- voided is none.
SELECT id, account, symbol, trade_id, order_id, synthetic_id, side, price, amount, contract_size,
  quote_amount, fee, fee_currency, fee_in_quote, fees, liquidity, realized_pnl, net_pnl,
  realized_pnl_exchange, position_id, position_side, liquidation, strategy, bot, executed_at, info, recorded_at
FROM trades WHERE account = ? AND symbol = ? AND executed_at >= ifnull((
  SELECT end_us FROM archive_files INDEXED BY archive_files_by_dataset_end_us
  WHERE dataset = 'trades' AND replaced_seq IS NULL ORDER BY end_us DESC LIMIT 1), 0) AND amount <> '0'
ORDER BY executed_at DESC, id DESC LIMIT 1

-- name: balances_at
-- What is known of a balance at one moment from one source.
SELECT id, account, asset, balance, hold_trade, available, debt, told, change, change_percentage, reason, source,
  sync_status, reported, changed_at, exchange_at, recorded_at
FROM balance_history WHERE asset = ? AND changed_at = ? AND account = ? AND source = ?

-- name: rewrite_balance_history
-- Another content of a report of a balance.
UPDATE balance_history SET account = ?, asset = ?, balance = ?, hold_trade = ?, available = ?, debt = ?, told = ?, change = ?,
  change_percentage = ?, reason = ?, source = ?, sync_status = ?, reported = ?, changed_at = ?, exchange_at = ?, recorded_at = ?
WHERE id = ?

-- name: trades_of_id
-- Fills of one id: mostly one, but an exchange may give one id to both sides of a match of the bot with itself.
SELECT id, account, symbol, trade_id, order_id, synthetic_id, side, price, amount, contract_size,
  quote_amount, fee, fee_currency, fee_in_quote, fees, liquidity, realized_pnl, net_pnl,
  realized_pnl_exchange, position_id, position_side, liquidation, strategy, bot, executed_at, info, recorded_at
FROM trades WHERE account = ? AND symbol = ? AND trade_id = ?

-- name: events_of_fill
-- What a fill did to positions: mostly one event.
SELECT id, position_id, seq, account, symbol, kind, amount_delta, price, amount_after, entry_after, realized_delta,
  cost_delta, fees_delta, funding_delta, trade_id, order_id, occurred_at, recorded_at
FROM position_events WHERE trade_id = ? AND account = ? AND symbol = ? AND order_id = ?

-- name: days_of_account
-- What an account did: days from a moment on, and earlier ones that were recorded since another moment.
SELECT currency, period, recorded_at, net_flow, realized, funding, fees FROM portfolio_daily
WHERE account = ? AND (period >= ? OR recorded_at > ?)

-- name: later_snapshot
-- Whether an account has a snapshot in a base currency that was taken later on a day.
SELECT 1 FROM portfolio_snapshots WHERE account = ? AND base_currency = ? AND taken_at > ? AND taken_at < ? LIMIT 1

-- name: snapshots_between
-- Hot snapshots of an account in a base currency.
SELECT taken_at, equity, unpriced FROM portfolio_snapshots
WHERE account = ? AND base_currency = ? AND taken_at >= ? AND taken_at < ?

-- name: accounts_that_hold
-- Accounts that hold or owe something.
SELECT DISTINCT account FROM balances WHERE balance <> '0' OR ifnull(debt, '0') <> '0'

-- name: accounts_with_entries
-- Accounts that something was ever booked for.
SELECT DISTINCT account FROM ledger_balances

-- name: accounts_with_positions
-- Accounts with open positions.
SELECT DISTINCT account FROM positions WHERE status = 'OPEN'

-- name: accounts_with_equity
-- Latest equity of every account.
SELECT account, base_currency, taken_at, equity, unpriced FROM portfolio_equity
