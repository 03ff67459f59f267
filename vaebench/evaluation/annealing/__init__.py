"""log p(x) by annealed importance sampling, and its bracket."""
