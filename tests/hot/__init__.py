"""Tests of the hot tier."""
