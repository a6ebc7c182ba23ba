"""Tests of hybridstore.integrations."""
