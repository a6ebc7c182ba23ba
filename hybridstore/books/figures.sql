-- Returns of an account and of what it is compared with, day by day, and the figures that are made of them. Money is
-- exact; a ratio is a DOUBLE. Days are UTC. Definitions in words: hybridstore.books.figures.

-- name: account_days
-- Every day between the first and the last snapshot of an account: its return with deposits and withdrawals taken out
-- (time-weighted: each step from one snapshot to the next has the flows between them taken off its end), the equity it
-- ended with, its flows, the equity that its first step began with, and when the first and the last step of all began and
-- ended. A snapshot at midnight belongs to the day that it ends. Where no snapshot was taken the return is 0 and the
-- equity that of before; what happened meanwhile is in the return of the next day that has one.
-- Snapshots that lack a price are no steps; their flows count for the next. {snapshots} is a question for them.
WITH taken AS (
    SELECT taken_at, equity, unpriced, sum(net_flow) OVER (ORDER BY taken_at) AS flows
    FROM (
        {snapshots}
    )
),
steps AS (
    SELECT
        CAST(taken_at - INTERVAL 1 MICROSECOND AS DATE) AS day,
        taken_at,
        equity,
        lag(equity) OVER (ORDER BY taken_at) AS before,
        flows - lag(flows) OVER (ORDER BY taken_at) AS flow
    FROM taken
    WHERE unpriced IS NULL
),
seen AS (
    SELECT
        day,
        product(CAST(equity - flow AS DOUBLE) / CAST(before AS DOUBLE)) FILTER (WHERE before > 0) AS growth,
        count(*) FILTER (WHERE before <= 0) AS undefined,
        arg_min(before, taken_at) AS before,
        arg_max(equity, taken_at) AS equity,
        sum(flow) AS net_flow
    FROM steps
    WHERE before IS NOT NULL
    GROUP BY day
),
calendar AS (
    SELECT CAST(unnest(generate_series(min(day), max(day), INTERVAL 1 DAY)) AS DATE) AS day
    FROM seen
)
SELECT
    day,
    coalesce(growth, 1) - 1 AS ret,
    last_value(equity IGNORE NULLS) OVER (ORDER BY day) AS equity,
    coalesce(net_flow, 0) AS net_flow,
    before,
    seen.day IS NOT NULL AS is_seen,
    coalesce(undefined, 0) AS undefined,
    (SELECT min(taken_at) FROM steps) AS since,
    (SELECT max(taken_at) FROM steps) AS until
FROM calendar
LEFT JOIN seen USING (day)
ORDER BY day

-- name: recorded_snapshots
-- Those that were written down.
SELECT taken_at, equity, unpriced, net_flow
FROM portfolio_snapshots
WHERE
    account = $account
    AND base_currency = $base_currency
    AND taken_at >= $start_at
    AND taken_at <= $end_at

-- name: computed_snapshots
-- Those that were computed from the books.
SELECT
    unnest(CAST($taken AS TIMESTAMPTZ [])) AS taken_at,
    unnest(CAST($equities AS DECIMAL(38, 18) [])) AS equity,
    unnest(CAST($unpriced AS VARCHAR [])) AS unpriced,
    unnest(CAST($flows AS DECIMAL(38, 18) [])) AS net_flow

-- name: basket_days
-- Return of a basket on each day: bought once, at the closes of the day before the first or of the first day from which
-- each of its symbols has a price, and held. A symbol without a candle on a day keeps its last close.
WITH parts AS (
    SELECT unnest(CAST($symbols AS VARCHAR [])) AS symbol, unnest(CAST($weights AS DOUBLE [])) AS weight
),
closes AS (
    SELECT
        symbol,
        CAST(opened_at AS DATE) AS day,
        CAST(arg_max(close, opened_at) AS DOUBLE) AS close
    FROM candles
    WHERE
        symbol IN (SELECT symbol FROM parts)
        AND opened_at >= $since
        AND opened_at < $until
    GROUP BY symbol, CAST(opened_at AS DATE)
),
calendar AS (
    SELECT CAST(unnest(generate_series(CAST($since AS DATE), CAST($until AS DATE) - 1, INTERVAL 1 DAY)) AS DATE) AS day
),
prices AS (
    SELECT
        parts.symbol,
        weight,
        calendar.day,
        last_value(close IGNORE NULLS) OVER (PARTITION BY parts.symbol ORDER BY calendar.day) AS price
    FROM calendar
    CROSS JOIN parts
    LEFT JOIN closes ON closes.symbol = parts.symbol AND closes.day = calendar.day
),
bought AS (
    SELECT day
    FROM prices
    WHERE day >= CAST($since AS DATE) + 6
    GROUP BY day
    HAVING count(price) = count(*)
    ORDER BY day
    LIMIT 1
),
worth AS (
    SELECT prices.day, sum(prices.weight * prices.price / begun.price) AS worth
    FROM prices
    CROSS JOIN bought
    JOIN prices AS begun ON begun.symbol = prices.symbol AND begun.day = bought.day
    WHERE prices.day >= bought.day
    GROUP BY prices.day
)
SELECT day, worth / lag(worth) OVER (ORDER BY day) - 1 AS ret
FROM worth
ORDER BY day

-- name: figures
-- The figures of some returns, part by part: {returns} is a question for part, day, ret, and the benchmark's return (null:
-- none that day).
WITH given AS (
    {returns}
),
numbered AS (
    SELECT
        part,
        day,
        ret,
        bench,
        ret - free AS excess,
        bench - free AS bench_excess,
        ret - bench AS active
    FROM given
    CROSS JOIN (SELECT power(1 + $risk_free, 1 / $annualisation) - 1 AS free)
),
curve AS (
    SELECT part, day, product(1 + ret) OVER (PARTITION BY part ORDER BY day) AS growth
    FROM numbered
),
drawdowns AS (
    SELECT part, growth / greatest(1, max(growth) OVER (PARTITION BY part ORDER BY day)) - 1 AS drawdown
    FROM curve
),
months AS (
    SELECT part, product(1 + ret) AS growth, product(1 + bench) AS bench
    FROM numbered
    WHERE bench IS NOT NULL
    GROUP BY part, date_trunc('month', day)
),
captured AS (
    SELECT
        part,
        (power(product(growth) FILTER (WHERE bench > 1), 1 / nullif(count(*) FILTER (WHERE bench > 1), 0)) - 1)
        / nullif(power(product(bench) FILTER (WHERE bench > 1), 1 / nullif(count(*) FILTER (WHERE bench > 1), 0)) - 1, 0)
        AS up_capture,
        (power(product(growth) FILTER (WHERE bench < 1), 1 / nullif(count(*) FILTER (WHERE bench < 1), 0)) - 1)
        / nullif(power(product(bench) FILTER (WHERE bench < 1), 1 / nullif(count(*) FILTER (WHERE bench < 1), 0)) - 1, 0)
        AS down_capture
    FROM months
    GROUP BY part
),
spread AS (
    SELECT
        part,
        quantile_cont(ret, 0.05) AS var_95,
        CASE WHEN max(excess) > min(excess) THEN stddev_samp(excess) END AS excess_stddev,
        CASE WHEN max(active) > min(active) THEN stddev_samp(active) END AS active_stddev,
        sqrt(avg(power(least(excess, 0), 2))) AS downside
    FROM numbered
    GROUP BY part
),
fallen AS (
    SELECT part, min(drawdown) AS max_drawdown, sqrt(avg(power(drawdown, 2))) AS ulcer
    FROM drawdowns
    GROUP BY part
)
SELECT
    part,
    count(*) AS observations,
    count(bench) AS compared,
    product(1 + ret) - 1 AS total_return,
    power(product(1 + ret), $annualisation / nullif(count(*), 0)) - 1 AS cagr,
    stddev_samp(ret) * sqrt($annualisation) AS volatility,
    any_value(spread.downside) * sqrt($annualisation) AS downside_risk,
    avg(excess) / any_value(spread.excess_stddev) * sqrt($annualisation) AS sharpe,
    avg(excess) / nullif(any_value(spread.downside), 0) * sqrt($annualisation) AS sortino,
    any_value(fallen.max_drawdown) AS max_drawdown,
    (power(product(1 + ret), $annualisation / nullif(count(*), 0)) - 1) / nullif(abs(any_value(fallen.max_drawdown)), 0)
    AS calmar,
    any_value(fallen.ulcer) AS ulcer,
    any_value(spread.var_95) AS var_95,
    avg(ret) FILTER (WHERE ret <= spread.var_95) AS cvar_95,
    sum(greatest(excess, 0)) / nullif(-sum(least(excess, 0)), 0) AS omega,
    skewness(ret) AS skew,
    kurtosis(ret) AS kurtosis,
    max(ret) AS best_day,
    min(ret) AS worst_day,
    count(*) FILTER (WHERE ret > 0) / nullif(count(*) FILTER (WHERE ret <> 0), 0) AS positive_days,
    product(1 + bench) - 1 AS benchmark_return,
    regr_slope(excess, bench_excess) AS beta,
    regr_intercept(excess, bench_excess) * $annualisation AS alpha,
    corr(excess, bench_excess) AS correlation,
    any_value(spread.active_stddev) * sqrt($annualisation) AS tracking_error,
    avg(active) / any_value(spread.active_stddev) * sqrt($annualisation) AS information_ratio,
    any_value(captured.up_capture) AS up_capture,
    any_value(captured.down_capture) AS down_capture
FROM numbered
JOIN spread USING (part)
JOIN fallen USING (part)
LEFT JOIN captured USING (part)
GROUP BY part
ORDER BY part

-- name: given_returns
-- Returns that are given as they are: of an account, of somebody else's, or of a test. They are one part, without a name.
SELECT
    '' AS part,
    unnest(CAST($days AS DATE [])) AS day,
    unnest(CAST($returns AS DOUBLE [])) AS ret,
    unnest(CAST($benchmark AS DOUBLE [])) AS bench

-- name: rolling
-- Sharpe ratio, volatility and beta of the $window days up to each day; {returns} as above. Days before the first whole
-- window have none.
WITH given AS (
    {returns}
),
free AS (
    SELECT power(1 + $risk_free, 1 / $annualisation) - 1 AS free
),
rolled AS (
    SELECT
        day,
        count(*) OVER recent AS observations,
        avg(ret - free) OVER recent AS excess,
        stddev_samp(ret) OVER recent AS spread,
        max(ret) OVER recent > min(ret) OVER recent AS varies,
        regr_slope(ret - free, bench - free) OVER recent AS beta,
        count(bench) OVER recent AS compared
    FROM given
    CROSS JOIN free
    WINDOW recent AS (ORDER BY day ROWS BETWEEN $window - 1 PRECEDING AND CURRENT ROW)
)
SELECT
    day,
    CASE WHEN varies THEN excess / spread * sqrt($annualisation) END AS sharpe,
    spread * sqrt($annualisation) AS volatility,
    CASE WHEN compared = $window THEN beta END AS beta
FROM rolled
WHERE observations = $window
ORDER BY day

-- name: drawdowns
-- The deepest times below the highest value before: the day of that value (of the day before the first return, where
-- it is the start), the lowest day, and the day on which it was reached again; null: not yet.
WITH given AS (
    {returns}
),
curve AS (
    SELECT day, product(1 + ret) OVER (ORDER BY day) AS growth
    FROM given
),
high AS (
    SELECT day, growth, greatest(1, max(growth) OVER (ORDER BY day)) AS peak
    FROM curve
),
spells AS (
    SELECT day, growth / peak - 1 AS drawdown, count(*) FILTER (WHERE growth >= peak) OVER (ORDER BY day) AS spell
    FROM high
)
SELECT
    coalesce(
        max(day) FILTER (WHERE drawdown >= 0),
        (SELECT min(day) - 1 FROM given)
    ) AS peak_day,
    arg_min(day, drawdown) AS valley_day,
    CASE WHEN max(day) < (SELECT max(day) FROM given) THEN max(day) + 1 END AS recovered_day,
    min(drawdown) AS depth,
    count(*) FILTER (WHERE drawdown < 0) AS days
FROM spells
GROUP BY spell
HAVING min(drawdown) < 0
ORDER BY depth, peak_day
LIMIT $limit

-- name: distribution
-- How many days had a return from start to start + $width; ranges without any are left out.
WITH given AS (
    {returns}
)
SELECT CAST(floor(ret / $width) AS BIGINT) AS place, count(*) AS days
FROM given
GROUP BY place
ORDER BY place
