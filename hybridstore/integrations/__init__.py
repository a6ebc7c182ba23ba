"""Other people's objects and files: what is taken from them and what is handed to them."""
