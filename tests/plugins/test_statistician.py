"""Sets with exact codes: log p, predictive and class bound in closed form; no order matters."""

import inspect
import math
from itertools import combinations

import pytest
import torch
from torch import nn
from vaebench_plugins.statistician import Homoencoder, Statistician, homoencoder

from tests.evaluation.models import LogLikelihood
from vaebench import Chain, Variant, elbo, testing
from vaebench.evaluation import ais
from vaebench.models.draw import draw
from vaebench.models.elements import EachElement, Elements
from vaebench.models.items import Seen
from vaebench.models.likelihoods import Gaussian as Normals
from vaebench.models.observation import Pixels
from vaebench.models.posterior import positive
from vaebench.models.vae import VAE

# c ~ N(0, 1), z_i|c ~ N(c, 1/2), x_i|z_i ~ N(z_i, 1/4).
X = torch.tensor([0.3, -0.2, 1.1, 0.4, 0.9], dtype=torch.float64).reshape(1, 5, 1, 1, 1)
LEAST = inspect.signature(positive).parameters["least"].default
LOG_P, PREDICTIVE = -5.709290767, -1.045285680


def exact(shown=5, kind=Statistician):
    """The posterior of the model above, of c for sets of `shown` elements."""
    posterior = kind(6, 5, width=4, elements=5).double()
    precision = 1 + shown / 0.75
    laws = (
        (posterior.of_set, [shown / 0.75 / precision], precision),
        (posterior.of_element, [2 / 3, 1 / 3], 6.0),
        (posterior.element, [1.0], 2.0),
    )
    with torch.no_grad():
        for layer, weights, precision in laws:
            layer.head.head.weight.zero_()
            layer.head.head.weight[0, : len(weights)] = torch.tensor(weights)
            raw = math.log(math.expm1(precision**-0.5 - LEAST)) - 0.5413248546
            layer.head.head.bias.copy_(torch.tensor([0.0, raw]))
    return posterior


def model(posterior):
    encoder, decoder = nn.Flatten(), nn.Sequential(nn.Linear(2, 1), nn.Unflatten(1, (1, 1, 1)))
    encoder.features = 1
    with torch.no_grad():
        decoder[0].weight.copy_(torch.tensor([[0.0, 1.0]]))
        decoder[0].bias.zero_()
    sets = Elements(Pixels(decoder, Normals(2, scale="0.5")), 5, 1, 1)
    return VAE(EachElement(encoder, pooled=False), posterior, sets).double()


@pytest.mark.parametrize(("shown", "truth"), [(5, LOG_P), (4, LOG_P - PREDICTIVE)])
def test_every_weight_is_the_evidence_where_codes_are_exact(shown, truth):
    """Of four elements too, whose fifth code has the prior for posterior."""
    torch.manual_seed(0)
    made = model(exact(shown)).draw(X[:, :shown], 200)
    torch.testing.assert_close(made.log_w, torch.full_like(made.log_w, truth), atol=1e-5, rtol=0)
    error = 4 * (made.log_px - made.rate).std().item() / math.sqrt(200)
    assert abs(elbo(made).item() - truth) < error


def test_annealing_finds_log_p_of_a_set_and_what_it_says_of_another_element():
    one, values = model(exact()), []
    for x in (X, X[:, :4]):
        law = LogLikelihood(x, lambda x, z: one.log_likelihood(z, x))
        with torch.no_grad():
            found = ais(law, one.prior(), batch=1, budget=300)
        values.append(found)
    whole, others = (value.log_likelihood.item() for value in values)
    error = [4 * value.se.item() + 1e-3 for value in values]
    assert max(error) < 0.1
    assert whole == pytest.approx(LOG_P, abs=error[0])
    assert whole - others == pytest.approx(PREDICTIVE, abs=math.hypot(*error))


def test_the_class_bound_of_parts_of_a_set():
    """|D| = 2 of 5, over all parts, with c paid for once, and by each element."""
    torch.manual_seed(0)
    posterior = exact(2, Homoencoder)
    one, count = model(posterior), 4000
    each = X.reshape(1, 5, 1)
    totals = {5: [], 1: []}
    for part in combinations(range(5), 2):
        q = posterior._chain(each[:, list(part)], each)
        made = draw(q, posterior.prior(), lambda z: one.log_likelihood(z, X), count)
        for members, values in totals.items():
            values.append(homoencoder(made, elements=5, members=members).item() / 5)
    for members, truth in ((5, -1.213307889), (1, -1.511824388)):
        assert torch.tensor(totals[members]).mean().item() == pytest.approx(truth, abs=0.02)
    gap = LOG_P / 5 - torch.tensor(totals[5]).mean().item()
    assert gap == pytest.approx(0.071449736, abs=0.02)


def random_posterior(kind=Statistician):
    torch.manual_seed(1)
    return kind(4 + 5 * 3, 5 * 6, width=7, elements=5).double()


def test_the_order_of_elements_changes_nothing_but_that_of_their_codes():
    posterior = random_posterior()
    h, order = torch.randn(2, 5, 6).double(), torch.randperm(5)
    one, other = posterior(h.flatten(1)), posterior(h[:, order].flatten(1))
    z = one.sample((3,))
    codes = z[..., 4:].unflatten(-1, (5, 3))[..., order, :].flatten(-2)
    moved = torch.cat([z[..., :4], codes], -1)
    torch.testing.assert_close(one.first.mean, other.first.mean)
    torch.testing.assert_close(one.log_prob(z), other.log_prob(moved))
    torch.testing.assert_close(posterior.prior().log_prob(z), posterior.prior().log_prob(moved))


def test_codes_of_missing_elements_are_those_of_the_prior():
    posterior = random_posterior()
    h = torch.randn(2, 5, 6).double()
    q = posterior(h[:, :3].flatten(1))
    z = q.sample((4,))
    law, prior = q.at(z)["elements"], posterior.prior().at(z)["elements"]
    assert torch.equal(law.mean[..., 9:], prior.mean[..., 9:])
    assert not torch.equal(law.mean[..., :9], prior.mean[..., :9])
    assert posterior(torch.randn(2, 8 * 6).double()).event_shape == (4 + 8 * 3,)


def test_training_infers_the_code_of_a_set_from_parts_of_it():
    posterior = random_posterior(Homoencoder)
    h = torch.randn(2, 5, 6).double()
    whole = posterior(h.flatten(1))
    seen = set()
    for _ in range(60):
        q, p = posterior.pair(h.flatten(1), Seen())
        assert isinstance(q, Chain) and isinstance(p, Chain)
        seen.add(round(q.first.mean[0, 0].item(), 9))
        z = whole.sample()
        torch.testing.assert_close(q.at(z)["elements"].mean, whole.at(z)["elements"].mean)
    assert round(whole.first.mean[0, 0].item(), 9) in seen and len(seen) > 8


def test_too_few_dimensions_are_refused():
    with pytest.raises(ValueError, match="6 dimensions or more, not 5"):
        Statistician(5, 5, elements=5)


@pytest.mark.parametrize("name", ["blocks", "rates", "parameters", "dtypes", "checkpoints"])
@pytest.mark.parametrize("kind", [Statistician, Homoencoder])
def test_conforms(name, kind):
    def posterior(features, context, *, elements):
        return kind(features, context, width=16, elements=elements)

    check = next(check for check in testing.checks() if check.name == name)
    check(Variant("sets", posterior))
