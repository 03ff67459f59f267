"""The tables of a run as CSV, Markdown, LaTeX, and in the terminal."""
