"""Sets are modelled element by element, in any order; sets of one are the elements."""

import pytest
import torch
from torch import nn

from vaebench.models.backbones import BACKBONES
from vaebench.models.elements import EachElement, Elements, dimensions, shares
from vaebench.models.likelihoods import Bernoulli
from vaebench.models.observation import Pixels

SHAPE, N = (1, 4, 4), 3


def parts(latent=5):
    torch.manual_seed(0)
    encoder, decoder = BACKBONES["mlp"].build(SHAPE, latent, 8)
    return encoder, Pixels(decoder, Bernoulli(2))


def sets(count=6, elements=N):
    torch.manual_seed(1)
    return torch.rand(count, elements, *SHAPE).round()


@pytest.mark.parametrize("latent", range(2, 12))
@pytest.mark.parametrize("elements", [1, 2, 5, 20])
def test_codes_of_set_and_element_are_what_a_decoder_is_told(latent, elements):
    total = dimensions(latent, elements)
    shared, own = shares(total, elements)
    assert shared + elements * own == total and shared + own == latent
    assert own <= shared <= own + 1


def test_features_of_a_set_are_the_mean_of_its_elements_in_any_order():
    encoder, _ = parts()
    x, order = sets(), torch.randperm(N)
    pooled, apart = (EachElement(encoder, pooled)(x) for pooled in (True, False))
    each = torch.stack([encoder(x[:, i]) for i in range(N)], 1)
    torch.testing.assert_close(pooled, each.mean(1))
    torch.testing.assert_close(apart, each.flatten(1))
    torch.testing.assert_close(EachElement(encoder, True)(x[:, order]), pooled)


def test_elements_are_independent_given_their_codes():
    _, part = parts()
    x, z = sets(), torch.randn(4, 6, 3 + N * 2)
    model = Elements(part, N, 3, 2)
    each = [
        part.log_prob(torch.cat([z[..., :3], z[..., 3 + 2 * i : 5 + 2 * i]], -1), x[:, i])
        for i in range(N)
    ]
    torch.testing.assert_close(model.log_prob(z, x), sum(each))
    torch.testing.assert_close(model.log_prob(z, x[:, :2]), sum(each[:2]))
    assert model.mean(z).shape == model.sample(z).shape == (4, 6, N, *SHAPE)


def test_without_own_codes_all_elements_have_that_of_the_set():
    _, part = parts()
    x, z = sets(), torch.randn(4, 6, 5)
    model = Elements(part, N, 5)
    each = [part.log_prob(z, x[:, i]) for i in range(N)]
    torch.testing.assert_close(model.log_prob(z, x), sum(each))
    torch.testing.assert_close(model.log_prob(z, x[:, torch.randperm(N)]), sum(each))
    assert torch.equal(model.mean(z)[..., 0, :, :, :], model.mean(z)[..., 2, :, :, :])
    assert not torch.equal(model.sample(z)[..., 0, :, :, :], model.sample(z)[..., 2, :, :, :])


@pytest.mark.parametrize("split", [(5, 0), (3, 2)])
def test_sets_of_one_are_the_elements_to_the_bit(split):
    encoder, part = parts()
    x, z = sets(elements=1), torch.randn(4, 6, 5)
    one = Elements(part, 1, *split)
    for pooled in (True, False):
        assert torch.equal(EachElement(encoder, pooled)(x), encoder(x[:, 0]))
    assert torch.equal(one.log_prob(z, x), part.log_prob(z, x[:, 0]))
    assert torch.equal(one.mean(z)[..., 0, :, :, :], part.mean(z))
    draws = []
    for model in (one, part):
        torch.manual_seed(2)
        draws.append(model.sample(z).reshape(4, 6, *SHAPE))
    assert torch.equal(*draws)


def test_laws_that_say_nothing_of_the_set_alone_are_named():
    law = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2, 9), 1.0), 1)
    _, part = parts()
    assert Elements(part, N, 9).of_set(law) is law
    with pytest.raises(NotImplementedError, match="no chain"):
        Elements(part, N, 3, 2).of_set(law)


def test_the_decoder_is_told_no_more_than_it_needs():
    calls = []

    class Counting(nn.Module):
        def forward(self, z):
            calls.append(len(z))
            return z.sum(-1)[:, None, None, None].expand(-1, *SHAPE)

    x, part = sets(), Pixels(Counting(), Bernoulli(2))
    Elements(part, N, 5).log_prob(torch.randn(4, 6, 5), x)
    Elements(part, N, 3, 2).log_prob(torch.randn(4, 6, 9), x[:, :2])
    assert calls == [4 * 6, 4 * 6 * 2]
