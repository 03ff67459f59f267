"""What is asked for: settings and cells as plain, hashable data."""
