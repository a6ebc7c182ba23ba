-- What is read of a hummingbot database; each block is named as the table it reads.

-- name: tradefill
-- Fills.
SELECT * FROM TradeFill ORDER BY timestamp

-- name: order
-- Orders.
SELECT * FROM "Order" ORDER BY creation_timestamp

-- name: fundingpayment
-- What perpetual contracts paid.
SELECT * FROM FundingPayment ORDER BY timestamp

-- name: position
-- Counted only: positions follow from fills.
SELECT id FROM Position
