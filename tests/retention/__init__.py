"""Tests of tier moves."""
