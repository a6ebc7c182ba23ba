"""Tests of importing: databases that freqtrade made, hummingbot's tables, files of rows."""
