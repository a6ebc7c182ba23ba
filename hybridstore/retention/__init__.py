"""WHEN history moves between tiers, and the move itself."""
