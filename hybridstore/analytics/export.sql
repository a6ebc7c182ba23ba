-- What exporters ask of a snapshot. Names of datasets and columns are the registry's own.

-- name: days
-- Days of a dataset that have rows, with how many.
SELECT "{time}"::DATE AS day, count(*) AS rows FROM "{dataset}" GROUP BY ALL ORDER BY day

-- name: rows_of_day
-- The rows of one day, as they happened.
SELECT * FROM "{dataset}" WHERE "{time}" >= $start AND "{time}" < $end ORDER BY {order}

-- name: rows
-- Rows between two moments, of one account and market where that is asked for.
SELECT * FROM "{dataset}" WHERE {wanted} ORDER BY {order}

-- name: all_rows
-- All rows of a dataset.
SELECT * FROM "{dataset}" ORDER BY {order}
