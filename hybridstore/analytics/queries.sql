-- What the session itself says to DuckDB.

-- name: parse
-- The syntax tree of a SELECT as JSON, without binding it: nothing is opened, nothing runs.
SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true)

-- name: create_view
-- The view that shows a dataset; it belongs to the cursor that makes it.
CREATE TEMP VIEW "{name}" AS {select}

-- name: create_shown_view
-- The view that shows a dataset in a DuckDB of somebody's own.
CREATE VIEW "{name}" AS {select}

-- name: create_handed_table
-- Rows that were handed over as Arrow, in a table of its own: cursors see it, too.
CREATE TABLE "{name}" AS FROM handed_over

-- name: create_file_view
-- Rows that a file of a written moment holds.
CREATE VIEW "{name}" AS FROM read_parquet({path}, hive_partitioning = false)
