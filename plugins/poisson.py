"""The Poisson VAE: integer latents, relaxed while training and true counts in evaluation."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Poisson

from vaebench import Posterior, Variant, hookimpl


class RelaxedPoisson(Poisson):
    """A Poisson distribution whose `rsample` counts softly, so that a gradient reaches the rate.

    A count is the number of events before time 1. With the waiting times between events Exp(rate),
    the event at time t counts σ((1 - t) / temperature). `sample` and `log_prob` are exact.

    Args:
        rate: Expected counts (...).
        temperature: Of the relaxation; 0 makes `rsample` return true counts without a gradient.

    References:
        Vafaii et al. 2024, Poisson Variational Autoencoder, arXiv 2405.14473, algorithm 1.
    """

    has_rsample = True

    def __init__(self, rate: Tensor, temperature: float) -> None:
        super().__init__(rate, validate_args=False)
        self.temperature = temperature

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Soft counts (...), or true ones at temperature 0."""
        if not self.temperature:
            return self.sample(torch.Size(sample_shape))
        shape = self._extended_shape(sample_shape)
        rate = self.rate.expand(shape).flatten()
        # Events after 1 + 10 temperature count less than e^-10 each.
        horizon = 1 + 10 * self.temperature
        largest = rate.max().item() * horizon
        soft, going = torch.zeros_like(rate), torch.arange(len(rate), device=rate.device)
        time = soft
        for _ in range(math.ceil(largest + 6 * math.sqrt(largest) + 10)):
            time = time + torch.empty_like(time).exponential_() / rate[going]
            soft = soft.index_add(0, going, torch.sigmoid((1 - time) / self.temperature))
            more = time < horizon
            going, time = going[more], time[more]
            if not len(going):
                break
        return soft.view(shape)


class PoissonPosterior(Posterior):
    """Counts of rate r δ(h) against a Poisson prior of learned rate r.

    log δ is kept within ±4, which bounds the number of events to draw.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        temperature: Of the relaxed draws in training.
        rate: Of the prior before training; the paper draws e^-6 to e^-4 where the decoder is
            linear and latents are many.
    """

    def __init__(
        self, features: int, context: int, temperature: float = 0.1, rate: float = 1.0
    ) -> None:
        super().__init__(features, context)
        for name, value in (("temperature", temperature), ("rate", rate)):
            if not value > 0:
                raise ValueError(f"The {name} is positive, not {value}.")
        self.temperature = temperature
        self.head = nn.Linear(context, features)
        self.log_rate = nn.Parameter(torch.full((features,), math.log(rate)))

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to independent counts, relaxed in training mode only."""
        log_delta = 4 * torch.tanh(self.head(h) / 4)
        rate = (self.log_rate + log_delta).exp()
        return Independent(RelaxedPoisson(rate, self.temperature if self.training else 0.0), 1)

    def prior(self) -> Distribution:
        """Independent Poisson counts of rate r."""
        rate: Any = self.log_rate.exp()
        return Independent(Poisson(rate, validate_args=False), 1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Poisson posterior, trained with the ELBO of relaxed counts."""
    return [
        Variant(
            "poisson",
            PoissonPosterior,
            deviations={"bound": "training decodes relaxed counts, which the prior cannot draw"},
            reference="Vafaii et al. 2024, arXiv 2405.14473",
            family="posteriors",
            description="Poisson counts as codes, drawn by relaxed arrival times in training "
            "and exactly in evaluation.",
        )
    ]
