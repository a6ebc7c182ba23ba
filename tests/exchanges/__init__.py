"""Exchanges on loopback: recorded answers, and a small exchange in Binance's words, for real ccxt objects."""
