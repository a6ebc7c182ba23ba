"""The checks of ``hybridstore doctor``: small functions, each of which looks at one thing and changes nothing."""
