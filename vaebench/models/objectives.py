r"""What a variant is trained for: functions of a table of draws.

Every objective maps a :class:`Draw` (K draws for each of B inputs) to (B,) values in nats, and is
maximised. Images are summed over their pixels, latents over their dimensions.
"""

import math

from torch import Tensor

from vaebench.models.draw import Draw


def elbo(draw: Draw) -> Tensor:
    r"""Evidence lower bound :math:`E_q[\log p(x|z)] - KL(q(z|x) \| p(z))`, (B,) nats.

    References:
        Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv 1312.6114, eq. 3.
    """
    return draw.mean(draw.log_px) - draw.kl


def iwae(draw: Draw) -> Tensor:
    r"""Importance-weighted bound :math:`\log \frac1K \sum_k p(x, z_k) / q(z_k|x)`, (B,) nats.

    With stratified draws it is the bound of Morningstar et al. 2021 (arXiv 2003.01687, eq. 6).

    References:
        Burda et al. 2016, Importance Weighted Autoencoders, arXiv 1509.00519, eq. 8.
    """
    if draw.log_weights is None:
        return draw.log_w.logsumexp(0) - math.log(len(draw.log_w))
    return (draw.log_w + draw.log_weights).logsumexp(0)
