-- What the session itself says to DuckDB.

-- name: parse
-- The syntax tree of a SELECT as JSON, without binding it: nothing is opened, nothing runs.
SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true)

-- name: create_view
-- The view that shows a dataset; it belongs to the cursor that makes it.
CREATE TEMP VIEW "{name}" AS {select}
