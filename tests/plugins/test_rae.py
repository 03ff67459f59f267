"""The regularised autoencoder: its value, and what is penalised of the decoder."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian
from vaebench_plugins.rae import decoder_penalty, regularised

from vaebench import Shared
from vaebench.models.draw import Draw, draw
from vaebench.models.variant import informed
from vaebench.registry.catalogue import catalogue

DECODER = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2)))
DECODER = DECODER.double()


penalty = partial(decoder_penalty, decoder=Shared(DECODER))


def table() -> Draw:
    torch.manual_seed(0)
    posterior = catalogue().variant("rae").posterior(3, 5).double()
    h = torch.randn(4, 5).double()
    return draw(posterior(h), posterior.prior(), lambda z: DECODER(z[0]).sum((1, 2, 3))[None], 1)


def test_the_value_is_the_joint_density_but_for_the_prior_s_constant() -> None:
    found = table()
    expected = (found.log_px + found.log_pz)[0] + 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(regularised(found), expected)
    weighed = found.log_px[0] - 0.2 * found.z[0].square().sum(-1) / 2
    torch.testing.assert_close(regularised(found, code=0.2), weighed)
    torch.testing.assert_close(regularised(found._replace(kl_weight=0.5), code=0.4), weighed)


def test_the_gradient_penalty_is_the_squared_norm_of_the_jacobian() -> None:
    found = table()
    many = torch.stack([penalty(found, weight=1.0) for _ in range(2000)]).detach()
    exact = torch.stack(
        [jacobian(lambda z: DECODER(z[None]), z.detach()).square().sum() for z in found.z[0]]
    )
    assert many.shape == (2000, 4)
    assert ((many.mean(0) - exact).abs() < 4 * many.std(0) / math.sqrt(2000)).all()
    torch.testing.assert_close(
        penalty(found, "decay", 0.5),
        0.5 * sum(p.square().sum() for p in DECODER.parameters()).expand(4),
    )
    assert not penalty(found, "none").any()


@pytest.mark.parametrize("smooth", ["gradient", "decay"])
def test_the_penalty_reaches_the_decoder_and_costs_validation_no_graph(smooth: str) -> None:
    found = table()
    torch.manual_seed(1)
    value = penalty(found, smooth)
    (slope,) = torch.autograd.grad(value.sum(), DECODER[0].weight, retain_graph=True)
    assert (slope != 0).all()
    torch.manual_seed(1)
    with torch.no_grad():
        unrecorded = penalty(found._replace(z=found.z.detach()), smooth)
    assert not unrecorded.requires_grad
    torch.testing.assert_close(unrecorded, value.detach())


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="smooth is one of gradient, decay, none"):
        penalty(table(), "spectral")
    variant = catalogue().variant("rae[smooth=decay,weight=0.5,code=0.1]")
    (term,) = informed(variant, decoder=Shared(DECODER)).penalties.values()
    torch.testing.assert_close(term(table()), penalty(table(), "decay", 0.5))
