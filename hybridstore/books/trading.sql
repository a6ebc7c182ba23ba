-- What an account's trades did: figures of closed positions, and which part of the account's profit each strategy, bot or
-- market made. Money is exact; a ratio is a DOUBLE. Definitions in words: hybridstore.books.trades and .attribution.

-- name: trade_figures
-- Figures of the positions of an account that were closed in a time, by what they have in common. Nothing is converted:
-- each currency is told by itself. Fees of coin-margined contracts are those that were paid in the coin.
WITH closed AS (
    SELECT
        position_id,
        symbol,
        side,
        coalesce(strategy, '-') AS strategy,
        coalesce(bot, '-') AS bot,
        split_part(account, '/', 1) AS exchange,
        strftime(opened_at, '%H') AS hour,
        coalesce(
            nullif(split_part(split_part(symbol, ':', 2), '-', 1), ''), split_part(split_part(symbol, '/', 2), ':', 1)
        ) AS currency,
        inverse,
        realized_pnl,
        fees,
        funding,
        max_favourable,
        max_adverse,
        opened_at,
        closed_at
    FROM positions
    WHERE status = 'CLOSED' AND account = $account AND closed_at > $start_at AND closed_at <= $end_at
),
named AS (
    SELECT account, symbol, order_id, coalesce(trigger_price, price) AS price
    FROM orders
    WHERE account = $account AND coalesce(trigger_price, price) > 0
),
executed AS (
    SELECT
        position_id,
        count(*) AS fills,
        count(*) FILTER (WHERE liquidity = 'maker') AS made,
        count(liquidity) AS told,
        sum(quote_amount) AS volume,
        sum(realized_pnl - net_pnl) AS fees,
        count(*) FILTER (WHERE realized_pnl IS NOT NULL AND net_pnl IS NULL) AS unknown,
        sum(CAST(quote_amount AS DOUBLE)) FILTER (WHERE named.price IS NOT NULL) AS compared,
        sum(
            CAST(quote_amount AS DOUBLE)
            * CASE WHEN side = 'buy' THEN 1 ELSE -1 END
            * (CAST(trades.price AS DOUBLE) / CAST(named.price AS DOUBLE) - 1)
        ) AS slipped
    FROM trades
    LEFT JOIN named USING (account, symbol, order_id)
    WHERE account = $account AND amount > 0 AND executed_at <= $end_at
    GROUP BY position_id
),
valued AS (
    SELECT
        closed.* REPLACE (CASE WHEN inverse THEN coalesce(executed.fees, 0) ELSE closed.fees END AS fees),
        realized_pnl + funding - CASE
            WHEN NOT inverse THEN closed.fees WHEN coalesce(unknown, 0) = 0 THEN coalesce(executed.fees, 0)
        END AS net,
        coalesce(fills, 0) AS fills,
        coalesce(volume, 0) AS volume,
        made,
        told,
        compared,
        slipped
    FROM closed
    LEFT JOIN executed USING (position_id)
),
ordered AS MATERIALIZED (
    SELECT
        currency,
        CAST(sign(net) AS TINYINT) AS outcome,
        row_number() OVER (ORDER BY closed_at, position_id) AS place,
        [symbol, strategy, bot, exchange, side, hour] AS parts
    FROM valued
    WHERE net IS NOT NULL
),
parted AS (
    SELECT
        currency,
        outcome,
        place,
        unnest(['all', 'symbol', 'strategy', 'bot', 'exchange', 'side', 'hour']) AS dimension,
        unnest(list_prepend('', parts)) AS part
    FROM ordered
),
placed AS (
    SELECT
        dimension,
        part,
        currency,
        outcome,
        row_number() OVER (PARTITION BY dimension, part, currency ORDER BY place)
        - row_number() OVER (PARTITION BY dimension, part, currency, outcome ORDER BY place) AS run
    FROM parted
),
runs AS (
    SELECT dimension, part, currency, outcome, count(*) AS trades
    FROM placed
    GROUP BY dimension, part, currency, outcome, run
),
streaks AS (
    SELECT
        dimension,
        part,
        currency,
        coalesce(max(trades) FILTER (WHERE outcome > 0), 0) AS winning_streak,
        coalesce(max(trades) FILTER (WHERE outcome < 0), 0) AS losing_streak
    FROM runs
    GROUP BY dimension, part, currency
),
sums AS (
    SELECT
        CASE
            WHEN grouping(symbol) = 0 THEN 'symbol' WHEN grouping(strategy) = 0 THEN 'strategy'
            WHEN grouping(bot) = 0 THEN 'bot' WHEN grouping(exchange) = 0 THEN 'exchange'
            WHEN grouping(side) = 0 THEN 'side' WHEN grouping(hour) = 0 THEN 'hour' ELSE 'all'
        END AS dimension,
        coalesce(symbol, strategy, bot, exchange, side, hour, '') AS part,
        currency,
        count(*) AS trades,
        count(*) FILTER (WHERE net > 0) AS wins,
        count(*) FILTER (WHERE net < 0) AS losses,
        count(*) FILTER (WHERE net > 0) / nullif(count(net), 0) AS win_rate,
        count(net) AS known,
        coalesce(sum(net), 0) AS net,
        coalesce(sum(net) FILTER (WHERE net > 0), 0) AS gross_profit,
        coalesce(sum(net) FILTER (WHERE net < 0), 0) AS gross_loss,
        CAST(sum(net) FILTER (WHERE net > 0) AS DOUBLE) / -CAST(sum(net) FILTER (WHERE net < 0) AS DOUBLE) AS profit_factor,
        CAST(avg(net) FILTER (WHERE net > 0) AS DOUBLE) / -CAST(avg(net) FILTER (WHERE net < 0) AS DOUBLE) AS payoff,
        max(net) AS best,
        min(net) AS worst,
        sum(realized_pnl) AS realized,
        sum(fees) AS fees,
        sum(funding) AS funding,
        avg(epoch_us(closed_at) - epoch_us(opened_at)) / 1e6 AS holding_s,
        median(epoch_us(closed_at) - epoch_us(opened_at)) / 1e6 AS median_holding_s,
        sum(max_favourable) AS sum_mfe,
        max(max_favourable) AS best_mfe,
        sum(max_adverse) AS sum_mae,
        min(max_adverse) AS worst_mae,
        CAST(sum(fills) AS BIGINT) AS fills,
        sum(volume) AS volume,
        sum(made) / nullif(sum(told), 0) AS maker_share,
        sum(slipped) / nullif(sum(compared), 0) AS slippage
    FROM valued
    GROUP BY GROUPING SETS (
        (currency), (currency, symbol), (currency, strategy), (currency, bot), (currency, exchange), (currency, side),
        (currency, hour)
    )
)
SELECT sums.*, coalesce(winning_streak, 0) AS winning_streak, coalesce(losing_streak, 0) AS losing_streak
FROM sums
LEFT JOIN streaks USING (dimension, part, currency)
ORDER BY dimension, part, currency

-- name: part_days
-- What each part of an account made on each day on which it had a position or did something, from the events of its
-- positions valued at the last price there is: candle, own fill, or mark that was written down. A part is a symbol, a
-- strategy or a bot (strategy=grid), of as many dimensions as are asked for. Days are those of the account's returns: what
-- happened up to the first snapshot is the state that the first day begins with. Profit in another currency is converted
-- at the day's rate; without a rate it has none (rate is null). Of coin-margined contracts the worth is a quotient, rounded,
-- and fees, which are booked in quote, are taken at the day's last price. A position whose beginning was deleted by policy
-- is left out, see deleted_beginnings.
WITH held AS (
    SELECT
        position_id,
        symbol,
        coalesce(strategy, '-') AS strategy,
        coalesce(bot, '-') AS bot,
        coalesce(
            nullif(split_part(split_part(symbol, ':', 2), '-', 1), ''), split_part(split_part(symbol, '/', 2), ':', 1)
        ) AS currency,
        (side = 'LONG') <> inverse AS gains_with_worth,
        contract_size,
        inverse
    FROM positions
    WHERE account = $account
),
whole AS (
    SELECT position_id
    FROM position_events
    WHERE account = $account
    GROUP BY position_id
    HAVING min(seq) = 1
),
lines AS MATERIALIZED (
    SELECT *, row_number() OVER () AS line
    FROM (SELECT DISTINCT symbol, strategy, bot, currency, gains_with_worth, contract_size, inverse FROM held)
),
members AS (
    SELECT position_id, line
    FROM held
    JOIN whole USING (position_id)
    JOIN lines USING (symbol, strategy, bot, currency, gains_with_worth, contract_size, inverse)
),
moves AS (
    SELECT
        line,
        CASE
            WHEN occurred_at <= $since THEN CAST($first_day AS DATE) - 1
            ELSE greatest(CAST(occurred_at - INTERVAL 1 MICROSECOND AS DATE), CAST($first_day AS DATE))
        END AS day,
        sum(amount_delta) AS amount,
        sum(cost_delta) AS cost,
        sum(realized_delta) AS realized,
        sum(fees_delta) AS fees,
        sum(funding_delta) AS funding
    FROM position_events
    JOIN members USING (position_id)
    WHERE account = $account AND occurred_at <= $until
    GROUP BY ALL
),
states AS (
    SELECT
        line,
        day,
        realized,
        fees,
        funding,
        sum(amount) OVER so_far AS amount,
        sum(cost) OVER so_far AS cost,
        lead(day) OVER so_far AS next_day
    FROM moves
    WINDOW so_far AS (PARTITION BY line ORDER BY day)
),
held_days AS (
    SELECT
        line,
        CAST(unnest(generate_series(
            day,
            CASE WHEN amount = 0 THEN day ELSE coalesce(next_day - 1, CAST($last_day AS DATE)) END,
            INTERVAL 1 DAY
        )) AS DATE) AS day,
        day AS moved_on,
        realized,
        fees,
        funding,
        amount,
        cost
    FROM states
),
markets AS (
    SELECT symbol FROM lines
    UNION
    SELECT currency || '/' || $base_currency FROM lines
),
closes AS (
    SELECT
        symbol,
        close AS price,
        opened_at,
        opened_at + try_cast(left(timeframe, -1) AS INTEGER) * CASE right(timeframe, 1)
            WHEN 's' THEN INTERVAL 1 SECOND WHEN 'm' THEN INTERVAL 1 MINUTE WHEN 'h' THEN INTERVAL 1 HOUR
            WHEN 'd' THEN INTERVAL 1 DAY WHEN 'w' THEN INTERVAL 7 DAY WHEN 'M' THEN INTERVAL 1 MONTH
        END AS closed_at
    FROM candles
    WHERE symbol IN (SELECT symbol FROM markets) AND close > 0
),
told AS (
    SELECT symbol, CAST(price AS DECIMAL(38, 18)) AS price, closed_at AS told_at, opened_at AS place FROM closes
    UNION ALL
    SELECT symbol, price, executed_at, executed_at FROM trades WHERE account = $account AND amount > 0
    UNION ALL
    SELECT symbol, price, occurred_at, occurred_at FROM position_events
    WHERE account = $account AND price > 0 AND trade_id IS NULL
),
day_prices AS (
    SELECT
        symbol,
        CASE
            WHEN told_at <= $since THEN CAST($first_day AS DATE) - 1
            ELSE greatest(CAST(told_at - INTERVAL 1 MICROSECOND AS DATE), CAST($first_day AS DATE))
        END AS day,
        arg_max(price, (told_at, place)) AS price
    FROM told
    WHERE told_at <= $until
    GROUP BY symbol, day
),
calendar AS (
    SELECT CAST(unnest(generate_series(CAST($first_day AS DATE) - 1, CAST($last_day AS DATE), INTERVAL 1 DAY)) AS DATE)
        AS day
),
prices AS MATERIALIZED (
    SELECT
        markets.symbol,
        calendar.day,
        last_value(price IGNORE NULLS) OVER (PARTITION BY markets.symbol ORDER BY calendar.day) AS price
    FROM calendar
    CROSS JOIN markets
    LEFT JOIN day_prices ON day_prices.symbol = markets.symbol AND day_prices.day = calendar.day
),
sized AS MATERIALIZED (
    SELECT
        line,
        held_days.day,
        gains_with_worth,
        inverse,
        prices.price,
        CASE WHEN currency = $base_currency THEN 1 ELSE rates.price END AS rate,
        CASE WHEN held_days.day = moved_on THEN realized ELSE 0 END AS realized,
        CASE WHEN held_days.day = moved_on THEN fees ELSE 0 END AS fees,
        CASE WHEN held_days.day = moved_on THEN funding ELSE 0 END AS funding,
        CASE WHEN contract_size = 1 THEN amount ELSE dmul_round(amount, contract_size) END AS units,
        cost
    FROM held_days
    JOIN lines USING (line)
    LEFT JOIN prices ON prices.symbol = lines.symbol AND prices.day = held_days.day
    LEFT JOIN prices AS rates ON rates.symbol = currency || '/' || $base_currency AND rates.day = held_days.day
),
valued AS (
    SELECT
        * REPLACE (
            CASE
                WHEN inverse THEN CAST(CAST(fees AS DOUBLE) / CAST(price AS DOUBLE) AS DECIMAL(38, 18)) ELSE fees
            END AS fees
        ),
        CASE
            WHEN units = 0 THEN 0
            WHEN inverse THEN CAST(CAST(units AS DOUBLE) / CAST(price AS DOUBLE) AS DECIMAL(38, 18))
            ELSE dmul_round(units, price)
        END AS worth
    FROM sized
),
changes AS (
    SELECT
        line,
        day,
        rate,
        realized,
        funding,
        fees,
        open_profit - lag(open_profit, 1, 0) OVER (PARTITION BY line ORDER BY day) AS unrealized
    FROM (SELECT *, CASE WHEN gains_with_worth THEN worth - cost ELSE cost - worth END AS open_profit FROM valued)
),
parted AS (
    SELECT
        unnest(list_transform(
            CAST($dimensions AS VARCHAR []),
            lambda dimension: dimension || '=' || CASE dimension WHEN 'symbol' THEN symbol WHEN 'strategy' THEN strategy
                ELSE bot END
        )) AS part,
        changes.* EXCLUDE (line)
    FROM changes
    JOIN lines USING (line)
    WHERE day >= CAST($first_day AS DATE)
),
days AS MATERIALIZED (
    SELECT
        part,
        day,
        rate,
        sum(realized) AS realized,
        sum(funding) AS funding,
        sum(fees) AS fees,
        CASE WHEN count(unrealized) = count(*) THEN sum(unrealized) END AS unrealized
    FROM parted
    GROUP BY part, day, rate
)
SELECT
    part,
    day,
    rate,
    CASE WHEN rate = 1 THEN realized ELSE dmul_round(realized, rate) END AS realized,
    CASE WHEN rate = 1 THEN unrealized ELSE dmul_round(unrealized, rate) END AS unrealized,
    CASE WHEN rate = 1 THEN funding ELSE dmul_round(funding, rate) END AS funding,
    CASE WHEN rate = 1 THEN fees ELSE dmul_round(fees, rate) END AS fees
FROM days

-- name: deleted_beginnings
-- How many positions there are of which something is known, but not the beginning.
SELECT count(*)
FROM (SELECT position_id, symbol FROM positions WHERE account = $account AND opened_at <= $until)
FULL JOIN (
    SELECT position_id, min(seq) AS first_seq
    FROM position_events
    WHERE account = $account AND occurred_at <= $until
    GROUP BY position_id
) USING (position_id)
WHERE symbol IS NULL OR coalesce(first_seq, 0) <> 1

-- name: parts
-- What each part made over all days, in the base currency, and every figure of what it made on each day as a share of the
-- equity that the account's day began with. {days} is the question above; {figures} that of figures.sql, of part_returns.
-- Days without a rate or a price are in no sum; missing tells how many there are.
WITH part_days AS MATERIALIZED (
    {days}
),
equity AS (
    SELECT
        unnest(CAST($days AS DATE [])) AS day,
        unnest(CAST($before AS DOUBLE [])) AS before,
        unnest(CAST($benchmark AS DOUBLE [])) AS bench
),
shares AS MATERIALIZED (
    SELECT part, day, coalesce(made / before, 0) AS ret, bench
    FROM equity
    CROSS JOIN (SELECT DISTINCT part FROM part_days)
    LEFT JOIN (
        SELECT part, day, sum(CAST(realized + unrealized + funding - fees AS DOUBLE)) AS made
        FROM part_days
        GROUP BY part, day
    ) USING (part, day)
),
sums AS (
    SELECT
        part,
        coalesce(sum(realized), 0) AS realized,
        coalesce(sum(unrealized), 0) AS unrealized,
        coalesce(sum(funding), 0) AS funding,
        coalesce(sum(fees), 0) AS fees,
        count(DISTINCT day) FILTER (WHERE realized IS NULL OR unrealized IS NULL) AS missing
    FROM part_days
    GROUP BY part
),
contributions AS (
    SELECT part, sum(ret) AS contribution
    FROM shares
    GROUP BY part
),
measured AS (
    {figures}
)
SELECT sums.*, contribution, measured.* EXCLUDE (part)
FROM sums
JOIN contributions USING (part)
JOIN measured USING (part)
ORDER BY part

-- name: part_returns
-- The shares, as the question for figures wants them.
SELECT part, day, ret, bench
FROM shares
