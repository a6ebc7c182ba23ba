"""Backups: what is shipped, restored, proven and expired."""
