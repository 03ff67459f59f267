"""Feature extractors and what is cached of them."""
