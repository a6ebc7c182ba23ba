"""Tests of hybridstore.analytics."""
