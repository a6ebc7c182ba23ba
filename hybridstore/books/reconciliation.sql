-- Books and reports of one account.

-- name: ledger_entries
-- Entries that count, in the order they are compared: by asset, by moment, as they were booked.
SELECT entry_id, asset, amount, epoch_us(occurred_at) AS occurred_us, reference
FROM ledger
WHERE account = $account AND amount <> 0
  AND ($since::TIMESTAMPTZ IS NULL OR occurred_at >= $since::TIMESTAMPTZ)
  AND ($until::TIMESTAMPTZ IS NULL OR occurred_at < $until::TIMESTAMPTZ)
ORDER BY asset, occurred_at, id;

-- name: balance_reports
-- What the exchange reported, likewise; a report of parts that says nothing of the whole is left out.
SELECT asset, balance, epoch_us(changed_at) AS reported_us
FROM balance_history
WHERE account = $account AND balance IS NOT NULL
  AND ($since::TIMESTAMPTZ IS NULL OR changed_at >= $since::TIMESTAMPTZ)
  AND ($until::TIMESTAMPTZ IS NULL OR changed_at < $until::TIMESTAMPTZ)
ORDER BY asset, changed_at, id;

-- name: known_fills
-- Fills that count, with their fees.
SELECT symbol, trade_id, order_id, side, amount, price, quote_amount, fee, fee_currency, fees,
  epoch_us(executed_at) AS executed_us
FROM trades
WHERE account = $account AND amount > 0
ORDER BY executed_at, id;

-- name: kept_balances
-- What the store keeps as the sum of an asset's entries.
SELECT asset, amount FROM ledger_balances WHERE account = $account ORDER BY asset;
