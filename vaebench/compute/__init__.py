"""Devices, randomness, ranks and precision: torch itself."""
