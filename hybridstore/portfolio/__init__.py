"""HOW money is counted: fills to positions, ledger, profit and portfolio. Pure Decimal arithmetic: no I/O, no clock."""
