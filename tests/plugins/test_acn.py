"""ACN: neighbours are other images' codes, and the mixture over the memory is what is evaluated."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from vaebench_plugins.acn import Associative, Codes

from vaebench import Seen


def on_a_line(count: int = 10, variance: float = 0.04) -> tuple[Associative, Seen]:
    """Codes 0, 1, … of N(c, 0.04), and p(z|c') = N(c', 1.04)."""
    posterior = Associative(1, 1, neighbours=2, width=1, items=count).double()
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.zero_()
        posterior.head.weight[0] = 1.0
        for bias, scale in (
            (posterior.head.bias, math.sqrt(variance)),
            (posterior.network[2].bias, math.sqrt(1 + variance)),
        ):
            bias[1] = math.log(math.expm1(scale - 1e-4)) - 0.5413248546
    return posterior, Seen(index=torch.arange(count))


def remembered(count: int = 10) -> tuple[Associative, torch.Tensor, Seen]:
    posterior, seen = on_a_line(count)
    h = torch.arange(count).double()[:, None]
    posterior.pair(h, seen)
    return posterior, h, seen


def kl_to_mixture(q: Normal, p: Codes) -> torch.Tensor:
    """KL (B,) of Gaussians q (B, 1) to a mixture of one dimension, by Gauss-Hermite quadrature."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.hermite_e.hermegauss(80))
    z = q.mean + q.stddev * nodes[:, None, None]
    gap = Independent(q, 1).log_prob(z) - p.log_prob(z)
    return (weights[:, None] * gap).sum(0) / math.sqrt(2 * math.pi)


def test_known_rates_of_codes_on_a_line() -> None:
    posterior, h, seen = remembered()
    q, p = posterior.eval().pair(h, seen)
    near = kl_divergence(q, p)
    # The ends of the line have a second neighbour two steps away.
    assert (near[1:-1] - 1.629048269).abs().max() < 1e-9
    mixture = posterior.prior()
    assert isinstance(mixture, Codes)
    found = kl_to_mixture(Normal(q.mean, q.stddev), mixture)
    assert abs(found.mean() - 2.582940912) < 1e-9
    one = Normal(4.5, math.sqrt(8.25 + 0.04))
    single = kl_divergence(Normal(q.mean, q.stddev), one).mean()
    assert abs(single - 2.666962897) < 1e-9
    assert (found <= near + math.log(10)).all()


def test_the_mixture_costs_no_more_than_any_neighbour_and_log_n() -> None:
    torch.manual_seed(0)
    posterior = Associative(2, 5, neighbours=3, width=16, items=40).double()
    posterior.pair(torch.randn(40, 5).double(), Seen(index=torch.arange(40)))
    h = torch.randn(25, 5).double()  # test images
    q, memory = posterior.eval()(h), posterior.codes.clone()
    near = posterior.nearest(q.mean, torch.full((25,), -1))
    # One set of points for both: log p(z) >= log p(z|c) - log N at every one of them.
    z = q.sample((400,))
    rate = q.log_prob(z) - posterior.prior().log_prob(z)
    for k in range(3):
        p = posterior.near(posterior.codes[near[:, k]])
        other = q.log_prob(z) - p.log_prob(z)
        assert (rate <= other + math.log(40) + 1e-9).all()
    assert torch.equal(memory, posterior.codes)


def test_neighbours_are_the_next_on_the_line_and_never_oneself() -> None:
    posterior, h, seen = remembered(12)
    near = posterior.nearest(h, seen.index)
    assert near[1:-1].sort().values.tolist() == [[i - 1, i + 1] for i in range(1, 11)]
    assert (near != torch.arange(12)[:, None]).all()
    # Images of no place of their own may take any.
    assert (posterior.nearest(h, -torch.ones(12, dtype=torch.long))[:, 0] == torch.arange(12)).all()


def test_only_training_images_enter_the_memory() -> None:
    posterior, _ = on_a_line()
    index = torch.tensor([3, -1, 7])
    _, p = posterior.pair(
        torch.tensor([[0.3], [0.5], [0.7]], dtype=torch.float64), Seen(index=index)
    )
    assert posterior.known.nonzero()[:, 0].tolist() == [3, 7]
    assert posterior.codes[[3, 7], 0].tolist() == [0.3, 0.7]
    assert p.batch_shape == (3,)
    posterior.neighbours = 1
    before = posterior.codes.clone()
    posterior(torch.ones(4, 1).double())
    posterior.eval().pair(torch.ones(2, 1).double(), Seen(index=torch.tensor([1, 3])))
    assert torch.equal(posterior.codes, before) and int(posterior.known.sum()) == 2
    assert posterior.prior().loc.flatten().tolist() == pytest.approx([0.3, 0.7])


def test_the_memory_is_in_the_checkpoint() -> None:
    posterior, *_ = remembered()
    other, _ = on_a_line()
    other.load_state_dict(posterior.state_dict())
    z = torch.linspace(-2, 12, 9).double()[:, None]
    assert torch.equal(other.prior().log_prob(z), posterior.prior().log_prob(z))
    assert isinstance(other.prior(), Codes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mixtures_density_is_torchs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    loc = torch.randn(300, 6, dtype=dtype)
    scale = 0.02 + torch.rand(300, 6, dtype=dtype)
    own = Codes(loc.requires_grad_(), scale)
    torchs = MixtureSameFamily(
        Categorical(logits=torch.zeros(300, dtype=torch.float64)),
        Independent(Normal(loc.double(), scale.double()), 1),
    )
    z = own.sample((2, 50)).requires_grad_()
    expected = torchs.log_prob(z.double())
    found = own.log_prob(z)
    assert found.dtype == dtype
    close = 1e-9 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(found.double(), expected, atol=close, rtol=close)
    slopes = [torch.autograd.grad(v.sum(), (z, loc)) for v in (found, expected)]
    for one, two in zip(*slopes, strict=True):
        torch.testing.assert_close(one, two, atol=100 * close, rtol=1e-4)
    draws = own.sample((40_000,))
    gap = (draws.mean(0) - own.mean) / (own.variance / 40_000).sqrt()
    assert gap.abs().max() < 4.5


def test_what_cannot_be_is_refused() -> None:
    for options in ({"neighbours": 0}, {"neighbours": 10}, {"width": 0}):
        with pytest.raises(ValueError, match="Of 10 training images from 1 to 9"):
            Associative(2, 3, items=10, **options)  # type: ignore[arg-type]
