"""ASKING: one SQL question over hot rows and every archive, in one snapshot. The only room that loads duckdb, polars."""
