"""M2: the class is summed over exactly where it is hidden, and known where a label is seen."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from vaebench_plugins.m2 import M1M2, M2, Strata, classified

import vaebench
from tests.cells import cell
from vaebench import Seen, elbo, iwae
from vaebench.models.draw import Draw, draw
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit

MEANS = torch.tensor([-1.0, 2.0], dtype=torch.float64)
X, NOISE = 0.8, 0.5
EVIDENCE, UNIFORM = -1.857330317, -1.901671087
#: p(y|x): the densities are exp(-1.08) and exp(-0.48) of the same height.
SHARE = (1 / (1 + math.exp(0.6)), 1 / (1 + math.exp(-0.6)))


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def log_likelihood(z: Tensor) -> Tensor:
    """log N(x; μ_y + z', 1/2) (K, B) of z = (y, z') (K, B, 3)."""
    return Normal(z[..., :2] @ MEANS + z[..., 2], math.sqrt(NOISE)).log_prob(double(X))


def exact(share: tuple[float, ...] = SHARE) -> M2:
    """Two classes and one style dimension, with q(z'|x, y) = p(z'|x, y), and q(y|x) as given."""
    posterior = M2(3, 1, width=2, classes=2).double()
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.zero_()
        classifier, style = posterior.classifier[-1], posterior.style
        classifier.bias.copy_(double(*share).log())
        style.hidden.weight[:, 1:] = torch.eye(2)
        # The hidden unit of a class is tanh(1), the other 0.
        style.head.head.weight[0] = (X - MEANS) / (1 + NOISE) / math.tanh(1)
        scale = math.sqrt(NOISE / (1 + NOISE))
        style.head.head.bias[1] = math.log(math.expm1(scale - 1e-4)) - 0.5413248546
    return posterior


def drawn(posterior: M2, labels: list[int] | None, samples: int = 3) -> Draw:
    known = None if labels is None else torch.tensor(labels)
    rows = 2 if labels is None else len(labels)
    h = torch.zeros(rows, 1, dtype=torch.float64)
    q, p = posterior.pair(h, Seen(labels=known))
    return draw(q, p, log_likelihood, samples)._replace(seen=Seen(labels=known))


def test_the_sum_over_hidden_classes_is_the_evidence() -> None:
    torch.manual_seed(0)
    made = drawn(exact(), None)
    for value in (made.mean(made.log_w), iwae(made)):
        assert (value - EVIDENCE).abs().max() < 1e-9
    made = drawn(exact((0.5, 0.5)), None)
    assert (made.mean(made.log_w) - UNIFORM).abs().max() < 1e-9
    assert made.mean(made.log_w).max() < EVIDENCE


def test_a_known_label_gives_the_joint_density() -> None:
    torch.manual_seed(0)
    made = drawn(exact((0.9, 0.1)), [0, 1, -1], samples=2)
    for label in (0, 1):
        joint = EVIDENCE + math.log(SHARE[label])
        for value in (made.mean(made.log_w), iwae(made)):
            assert abs(value[label].item() - joint) < 1e-8
        assert (made.z[:, label, label] == 1).all() and (made.z[:, label, 1 - label] == 0).all()
    assert (made.mean(made.z)[2, :2] - double(0.9, 0.1)).abs().max() < 1e-12
    weights = made.log_weights
    assert weights is not None
    torch.testing.assert_close(weights.exp().sum(0), torch.ones(3).double())


def test_the_rate_is_closed_and_summed_over_classes() -> None:
    torch.manual_seed(0)
    share = (0.2, 0.8)
    made = drawn(exact(share), [-1, 1], samples=1)
    scale = math.sqrt(NOISE / (1 + NOISE))
    each = kl_divergence(
        Normal((X - MEANS) / (1 + NOISE), double(scale)),
        Normal(0.0, 1.0),
    )
    pi = double(*share)
    hidden = (pi * (pi.log() + math.log(2) + each)).sum()
    assert abs(made.kl[0] - hidden) < 1e-9 and abs(made.kl[1] - math.log(2) - each[1]) < 1e-9
    assert set(made.rates) == {"class", "style"}


@pytest.mark.parametrize("objective", [elbo, iwae])
def test_gradients_are_finite_and_reach_the_classifier_of_hidden_labels_alone(objective) -> None:
    torch.manual_seed(1)
    posterior = M2(5, 4, classes=3)
    h = torch.randn(3, 4)
    q, p = posterior.pair(h, Seen(labels=torch.tensor([2, -1, 0])))
    made = draw(q, p, lambda z: -(z - 0.3).square().sum(-1), 2)
    (slope,) = torch.autograd.grad(objective(made).sum(), q.logits, retain_graph=True)
    assert slope.isfinite().all() and slope[1].abs().max() > 0
    assert slope[0].abs().max() == 0 and slope[2].abs().max() == 0
    objective(made).sum().backward()
    assert all(p.grad.isfinite().all() for p in posterior.parameters() if p.grad is not None)


def test_the_classifiers_term_is_of_known_labels() -> None:
    made = drawn(exact((0.2, 0.8)), [0, -1, 1])
    found = classified(made, alpha=0.5, items=100, labelled=10)
    expected = double(-math.log(0.2), 0, -math.log(0.8)) * 0.5 * 10
    torch.testing.assert_close(found, expected)
    assert classified(drawn(exact(), None), items=10, labelled=1).tolist() == [0, 0]


def test_the_stack_measures_its_code_given_class_and_style() -> None:
    torch.manual_seed(0)
    posterior = M1M2(8, 4, width=6, classes=3).double()
    q, p = posterior(torch.randn(2, 4).double()), posterior.prior()
    assert isinstance(q, Strata) and q.sizes == {"class": 3, "style": 2, "code": 3}
    z, log_weights = q.rstratified(2)
    assert z.shape == (6, 2, 8)
    torch.testing.assert_close(log_weights.exp().sum(0), torch.ones(2).double())
    other = z.clone()
    other[..., :3] = other[..., :3].roll(1, -1)
    assert not torch.equal(p.at(z)["code"].mean, p.at(other)["code"].mean)
    torch.testing.assert_close(q.at(z)["code"].mean, q.at(other)["code"].mean)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mnist\[labels=100\]"):
        M2(5, 4, classes=0)
    with pytest.raises(ValueError, match="--latent 6"):
        M2(5, 4, classes=5)
    with pytest.raises(ValueError, match="--latent 5"):
        M1M2(4, 4, classes=3)


def test_topics_of_sequences_are_learnt_from_a_hundred_labels() -> None:
    """The decoder of a text is told the class as that of a picture is."""
    data = vaebench.read("topics[items=4000,labels=100]")
    asked = {"dataset": "topics", "backbone": "bow", "width": 32, "likelihood": "tokens"}
    asked |= {"epochs": 8, "batch_size": 64, "lr": 1e-2, "data": data.hash()}
    plan = cell(plugin="m2", latent=10, **asked)
    made = build(plan, catalogue().variant("m2"), data)
    fit(made, lambda row, validated: None)
    model, x = made.model.eval(), data.test.stored.long()
    with torch.no_grad():
        found = model.posterior.classify(model.features(x)).argmax(-1)
        codes = torch.cat([torch.eye(8), torch.zeros(8, 2)], -1)
        told = model.observation.alone(codes).flatten(1)
    assert (found == data.test.labels).double().mean() > 0.7
    assert torch.pdist(told).min() > 1
