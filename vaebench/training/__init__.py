"""From a cell's settings to trained weights."""
