"""Tests of the Parquet tiers."""
