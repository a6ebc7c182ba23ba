"""Tests of the money side: exact arithmetic against fractions, hand-worked examples, recorded fills."""
