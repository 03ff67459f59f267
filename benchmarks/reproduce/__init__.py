"""The recipes of `vaebench reproduce`, and the published numbers that they are held against."""
