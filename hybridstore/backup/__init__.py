"""HOW data survives: every commit is copied as it is made, and any moment of the window comes back from the copies."""
