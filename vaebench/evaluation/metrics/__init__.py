"""The columns of the table, by what they look at."""
