"""Status, diagnostics and scheduled work."""
