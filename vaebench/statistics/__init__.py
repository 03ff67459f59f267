"""Numbers about numbers: intervals, differences, ranks, means over seeds."""
