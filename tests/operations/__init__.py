"""Tests of status and diagnostics."""
