"""Questions about the books over every tier: what is held, what it was, whether it proves itself."""
