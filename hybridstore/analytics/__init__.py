"""ASKING: one SQL question over hot rows and every archive. The only room that loads duckdb and polars."""
