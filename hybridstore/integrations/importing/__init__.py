"""Histories of other programs: freqtrade's and hummingbot's databases, and files of rows."""
