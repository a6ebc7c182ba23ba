"""TELLING: what the store knows, as one self-contained HTML page."""
