-- Exact arithmetic on money. DuckDB's own product of two DECIMAL(38,18) overflows from 100 up, its quotient is a
-- DOUBLE. A DECIMAL(38,18) is taken apart into its integer part and its fraction in units of 1e-18, both HUGEINT.

-- name: money_integer
-- The integer part of an amount.
CREATE MACRO money_integer(x) AS trunc(x::DECIMAL(38, 18))::HUGEINT

-- name: money_fraction
-- What follows the decimal point, in units of 1e-18, with the sign of the amount.
CREATE MACRO money_fraction(x) AS (
    (x::DECIMAL(38, 18) - trunc(x::DECIMAL(38, 18)))::DECIMAL(18, 18) * 1000000000000000000::DECIMAL(19, 0)
)::HUGEINT

-- name: money_units
-- An amount in units of 1e-18.
CREATE MACRO money_units(x) AS money_integer(x) * 1000000000000000000::HUGEINT + money_fraction(x)

-- name: units_money
-- An amount from units of 1e-18; one that does not fit is an error.
CREATE MACRO units_money(u) AS (
    (u // 1000000000000000000::HUGEINT)::DECIMAL(38, 18)
    + ((u % 1000000000000000000::HUGEINT)::DECIMAL(18, 0) * 0.000000000000000001::DECIMAL(18, 18))::DECIMAL(38, 18)
)::DECIMAL(38, 18)

-- name: units_product
-- The integer units of a product; what its two fractions give below 1e-18 is left out.
CREATE MACRO units_product(a, b) AS
    money_integer(a) * money_integer(b) * 1000000000000000000::HUGEINT
    + money_integer(a) * money_fraction(b)
    + money_fraction(a) * money_integer(b)
    + money_fraction(a) * money_fraction(b) // 1000000000000000000::HUGEINT

-- name: dmul
-- a * b as DECIMAL(38,18), exact: a product with more than 18 places or 20 integer digits is an error. Factors of up
-- to 9 places and 10 digits, as prices and amounts have, take the engine's own product.
CREATE MACRO dmul(a, b) AS CASE
    WHEN try_cast(a AS DECIMAL(19, 9)) = a AND try_cast(b AS DECIMAL(19, 9)) = b
    THEN (try_cast(a AS DECIMAL(19, 9)) * try_cast(b AS DECIMAL(19, 9)))::DECIMAL(38, 18)
    WHEN money_fraction(a) * money_fraction(b) % 1000000000000000000::HUGEINT <> 0
    THEN error('dmul: the product has more than 18 decimal places; round a factor, or use dmul_round')
    ELSE units_money(units_product(a, b))
END

-- name: units_half_even
-- What rounding half to even adds to a quotient, given the rest of the division, the divisor and the sign.
CREATE MACRO units_half_even(quotient, rest, divisor, direction) AS CASE
    WHEN 2 * abs(rest) > abs(divisor) OR (2 * abs(rest) = abs(divisor) AND quotient % 2 <> 0) THEN direction
    ELSE 0
END

-- name: dmul_round
-- a * b as DECIMAL(38,18), rounded half to even at 18 places; more than 20 integer digits are an error.
CREATE MACRO dmul_round(a, b) AS units_money(
    units_product(a, b)
    + units_half_even(
        units_product(a, b), money_fraction(a) * money_fraction(b) % 1000000000000000000::HUGEINT,
        1000000000000000000::HUGEINT, sign(money_fraction(a) * money_fraction(b))
    )
)

-- name: rest_0
-- The rest of a long division before the decimal point; the next ones follow, six places a step.
CREATE MACRO rest_0(a, b) AS a % b

-- name: rest_6
-- The rest after six places.
CREATE MACRO rest_6(a, b) AS rest_0(a, b) * 1000000::HUGEINT % b

-- name: rest_12
-- The rest after twelve places.
CREATE MACRO rest_12(a, b) AS rest_6(a, b) * 1000000::HUGEINT % b

-- name: units_rest
-- The rest after eighteen places.
CREATE MACRO units_rest(a, b) AS rest_12(a, b) * 1000000::HUGEINT % b

-- name: units_quotient
-- a / b in units of 1e-18, cut off.
CREATE MACRO units_quotient(a, b) AS
    a // b * 1000000000000000000::HUGEINT
    + rest_0(a, b) * 1000000::HUGEINT // b * 1000000000000::HUGEINT
    + rest_6(a, b) * 1000000::HUGEINT // b * 1000000::HUGEINT
    + rest_12(a, b) * 1000000::HUGEINT // b

-- name: ddiv
-- a / b as DECIMAL(38,18), rounded half to even at 18 places. Exact long division: 18 places in three steps of six,
-- for divisors below 1e14; a larger one, zero or a quotient of more than 20 digits is an error. (The inner nullif is
-- for constants, which are folded before CASE decides.)
CREATE MACRO ddiv(a, b) AS CASE
    WHEN b = 0 THEN error('ddiv: division by zero; write nullif(divisor, 0) to get NULL instead')
    WHEN abs(b::DECIMAL(38, 18)) >= 100000000000000
    THEN error('ddiv: the divisor is 1e14 or more; divide both sides by a power of ten first')
    ELSE units_money(
        units_quotient(money_units(a), money_units(nullif(b, 0)))
        + units_half_even(
            units_quotient(money_units(a), money_units(nullif(b, 0))), units_rest(money_units(a), money_units(nullif(b, 0))),
            money_units(nullif(b, 0)), sign(money_units(a)) * sign(money_units(nullif(b, 0)))
        )
    )
END
