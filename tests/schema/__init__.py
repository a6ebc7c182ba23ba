"""Tests of declarations and their projections."""
