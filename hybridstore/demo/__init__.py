"""The demo: a bot replays a market on paper, through the whole house."""
