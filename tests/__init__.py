"""Tests of hybridstore; the tree mirrors the package."""
