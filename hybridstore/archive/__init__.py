"""The Parquet tiers: where files lie, which of them count, how they are written and read without trust."""
