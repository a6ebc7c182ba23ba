"""Exchanges through ccxt: what they know of an account, read into the store without a loss and without a gap."""
