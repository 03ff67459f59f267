"""The version, imported by whoever prints it."""

__version__ = "0.1.0"
