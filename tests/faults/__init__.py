"""Faults of the machine below the store: clear errors, nothing half-written, and it goes on afterwards."""
