"""Differences between variants and runs, ranks over data sets."""
