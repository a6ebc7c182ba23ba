"""Asking: one SQL question over hot rows and every archive, in one snapshot.

Only this room imports duckdb and polars.
"""
