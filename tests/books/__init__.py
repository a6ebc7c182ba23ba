"""Tests of hybridstore.books."""
