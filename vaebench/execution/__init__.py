"""From a request to finished cells."""
