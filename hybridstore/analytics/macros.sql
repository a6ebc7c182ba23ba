-- Exact arithmetic of money for every session. DECIMAL(38,18) times DECIMAL(38,18) overflows in DuckDB from a product
-- of 100 up, and "/" gives a DOUBLE; these work on the scaled integers instead.

-- name: money_whole
-- The part before the point, as an integer.
CREATE MACRO money_whole(x) AS trunc(x::DECIMAL(38, 18))::HUGEINT

-- name: money_parts
-- The part after the point, as an integer of 1e-18.
CREATE MACRO money_parts(x) AS (
  (x::DECIMAL(38, 18) - trunc(x::DECIMAL(38, 18)))::DECIMAL(18, 18) * 1000000000000000000::DECIMAL(19, 0)
)::HUGEINT

-- name: money_scaled
-- The amount as an integer of 1e-18.
CREATE MACRO money_scaled(x) AS money_whole(x) * 1000000000000000000::HUGEINT + money_parts(x)

-- name: money_of
-- The amount of an integer of 1e-18.
CREATE MACRO money_of(scaled) AS
  (scaled // 1000000000000000000::HUGEINT)::DECIMAL(38, 18)
  + (scaled % 1000000000000000000::HUGEINT)::DECIMAL(18, 0) * 0.000000000000000001::DECIMAL(18, 18)

-- name: dmul
-- Exact product; an error where it has more than 18 places or 20 integer digits.
CREATE MACRO dmul(a, b) AS CASE
  WHEN (money_parts(a) * money_parts(b)) % 1000000000000000000::HUGEINT <> 0
    THEN error('dmul: the product has more than 18 places; round an argument first')
  ELSE money_of(
    money_whole(a) * money_whole(b) * 1000000000000000000::HUGEINT
    + money_whole(a) * money_parts(b) + money_parts(a) * money_whole(b)
    + (money_parts(a) * money_parts(b)) // 1000000000000000000::HUGEINT)
END

-- name: ddiv
-- Quotient cut off after 18 places, exactly; NULL where the divisor is zero. The divisor is below 1.7e11.
CREATE MACRO ddiv(a, b) AS CASE
  WHEN money_scaled(b) = 0 THEN NULL
  ELSE money_of(
    (money_scaled(a) // money_scaled(b)) * 1000000000000000000::HUGEINT
    + (((money_scaled(a) % money_scaled(b)) * 1000000000::HUGEINT) // money_scaled(b)) * 1000000000::HUGEINT
    + ((((money_scaled(a) % money_scaled(b)) * 1000000000::HUGEINT) % money_scaled(b)) * 1000000000::HUGEINT)
      // money_scaled(b))
END
