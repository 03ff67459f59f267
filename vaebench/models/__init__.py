"""p(z), q(z|x), p(x|z) and what they are trained for."""
