-- What is read of a freqtrade database; each block is named as the table it reads.

-- name: trades
-- Every trade, whatever version of freqtrade made its columns.
SELECT * FROM trades ORDER BY id

-- name: orders
-- The orders of all trades.
SELECT * FROM orders ORDER BY id

-- name: pairlocks
-- Counted only: the store has no place for them.
SELECT id FROM pairlocks

-- name: trade_custom_data
-- Counted only.
SELECT id FROM trade_custom_data

-- name: wallet_history
-- Counted only.
SELECT id FROM wallet_history
