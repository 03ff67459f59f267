"""The words that a metric declares itself in, shared by what measures and what reports."""

import re
from typing import Literal, get_args

#: Which way is a merit.
Better = Literal["higher", "lower"]
#: The part that a metric plays in sentences and plots; of several with one role the first counts.
#:
#: - likelihood: an estimate of log p(x), and elbo, the evidence lower bound;
#: - bound: an importance-weighted bound with K draws, its curve over K in ``detail["curve"]``;
#: - rate and distortion: the terms of the ELBO, the rate of each latent dimension in
#:   ``detail["per_dimension"]``;
#: - samples: the quality of samples;
#: - cost: what training took.
Role = Literal["likelihood", "elbo", "bound", "rate", "distortion", "samples", "cost"]
ROLES: tuple[Role, ...] = get_args(Role)
#: Mathematics that a metric may declare as LaTeX: letters, digits, brackets and the usual symbols.
SYMBOL = re.compile(
    r"(?:[\w ()\[\]|,;:.+*/<>=^{}'-]"
    r"|\\(?:log|mathrm|mathbf|mathcal|mathit|hat|bar|tilde|infty|mid|sum|phi|theta|sigma|beta)(?![a-z])"
    r"|\\[|,;])*",
    re.ASCII,
)
#: What a setting's or a metric's column is called; it becomes the head of a column in a CSV.
COLUMN = re.compile(r"[A-Za-z][\w.\[\]=,+@-]{0,99}")
#: What a metric is called: its column with what the number depends on in braces.
TEMPLATE = re.compile(r"[A-Za-z](?:[\w.+-]|\{extractor\}|\{k\}){0,39}")
#: What follows the name of a metric whose codes come from a sampler.
UNDER = re.compile(r"@[A-Za-z][\w.\[\]=,+-]*")
#: What a table appends to a metric's column: its error, and its interval over seeds.
SUFFIXES = ("_se", "_ci_low", "_ci_high")
