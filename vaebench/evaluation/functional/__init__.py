"""Functions from tensors to numbers."""
