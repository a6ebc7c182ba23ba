-- Statements of the hot path. Those that write and find rows of a dataset by its key are generated from its
-- declaration (schema/sqlite.py: insert_<dataset>, upsert_<dataset>, find_<dataset>, rewrite_<dataset>).

-- name: live_schema
-- Name and text of everything in the database, to compare it with the declarations.
SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL

-- name: settings_like
-- Settings whose name fits a pattern.
SELECT setting, value FROM settings WHERE setting LIKE ? ESCAPE '\'

-- name: commit_position
-- Number and time of the last commit; the first read of a snapshot, which fixes its moment.
SELECT seq, ts FROM commit_clock WHERE slot = 1

-- name: balances_of_account
-- Latest balance of every asset of an account.
SELECT account, asset, balance, hold_trade, available, debt, source, updated_at, recorded_at
FROM balances WHERE account = ?

-- name: latest_balance
-- Latest balance of one asset: one search on the primary key.
SELECT account, asset, balance, hold_trade, available, debt, source, updated_at, recorded_at
FROM balances WHERE account = ? AND asset = ?

-- name: last_balance
-- What the change of the next balance is computed from.
SELECT balance, updated_at FROM balances WHERE account = ? AND asset = ?

-- name: all_marks
-- Latest prices of every market; one row a market, so the whole table is what is asked for.
SELECT symbol, bid, ask, last, mark, marked_at, recorded_at FROM marks
