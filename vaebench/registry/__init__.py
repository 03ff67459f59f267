"""What is installed: plugins, their variants, data sets and networks."""
