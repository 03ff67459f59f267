"""A run on disk: files, records, frames."""
