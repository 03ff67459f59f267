"""Data sets: sources, splits, observations, batches."""
