import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence
from vaebench_plugins.beta_vae import weighted

from vaebench.models.draw import draw
from vaebench.models.objectives import elbo


@pytest.fixture
def drawn():
    torch.manual_seed(0)
    loc = torch.randn(4, 3, dtype=torch.float64)
    q = Independent(Normal(loc, torch.full_like(loc, 0.5)), 1)
    p = Independent(Normal(torch.zeros(3, dtype=torch.float64), 1.0), 1)
    return draw(q, p, lambda z: -z.square().sum(-1), 2)


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_the_kl_has_its_price(drawn, beta):
    kl = kl_divergence(drawn.q, drawn.p)
    torch.testing.assert_close(weighted(drawn, beta), drawn.log_px.mean(0) - beta * kl)


def test_at_one_it_is_the_elbo_and_a_warm_up_scales_it(drawn):
    torch.testing.assert_close(weighted(drawn, 1.0), elbo(drawn))
    torch.testing.assert_close(weighted(drawn._replace(kl_weight=0.25), 4.0), weighted(drawn, 1.0))


def test_a_negative_price_is_refused(drawn):
    with pytest.raises(ValueError, match="not negative"):
        weighted(drawn, -1.0)
