-- What lots are made from.

-- name: fills_of_account
-- Fills in the order they were executed, market by market; one that was voided counts nothing. Money as text without
-- trailing zeros: Python makes a Decimal of it in a third of the time it takes from Arrow's.
SELECT t.symbol, t.trade_id, t.order_id, t.side,
  rtrim(rtrim(t.price::VARCHAR, '0'), '.') AS price,
  rtrim(rtrim(t.amount::VARCHAR, '0'), '.') AS amount,
  rtrim(rtrim(t.contract_size::VARCHAR, '0'), '.') AS contract_size,
  rtrim(rtrim(t.quote_amount::VARCHAR, '0'), '.') AS quote_amount,
  rtrim(rtrim(t.fee::VARCHAR, '0'), '.') AS fee,
  t.fee_currency, t.fees, t.strategy, epoch_us(t.executed_at) AS executed_us, t.position_side
FROM trades t
WHERE t.account = $account AND t.amount > 0
  AND ($symbol IS NULL OR t.symbol = $symbol) AND ($until IS NULL OR t.executed_at <= $until)
ORDER BY t.symbol, t.executed_at, t.id
