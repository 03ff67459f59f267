"""The VampPrior: the mixture of posteriors of what is learned, and the encoder that it borrows."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from vaebench_plugins.vampprior import VampPrior

from tests.cells import cell, digits
from vaebench import Shared, Variant
from vaebench.models.draw import draw
from vaebench.models.weights import complete, pack
from vaebench.training.build import build
from vaebench.training.fit import fit


def prior_of(pseudo: str = "features", network: nn.Module | None = None) -> VampPrior:
    torch.manual_seed(0)
    network = network or nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    return VampPrior(2, 5, 4, pseudo, encoder=Shared(network), shape=(1, 3, 4))


def codes(scale: float) -> VampPrior:
    """Posteriors N(h, scale²) on a line, the prior's at h = 0 … 9."""
    made = VampPrior(1, 1, 10, encoder=Shared(nn.Identity()), shape=(1, 1, 1)).double()
    raw = math.log(math.expm1(scale - 1e-4)) - 0.5413248546
    with torch.no_grad():
        made.head.weight.copy_(torch.tensor([[1.0], [0.0]]))
        made.head.bias.copy_(torch.tensor([0.0, raw], dtype=torch.float64))
        made.pseudo.copy_(torch.arange(10.0)[:, None])
    return made


def test_with_every_input_as_a_component_the_kl_is_the_mutual_information() -> None:
    """Ten codes with spacing 1 and variance .04: 2.271616807 nats, below log 10."""
    made = codes(0.2)
    q = made(torch.arange(10.0, dtype=torch.float64)[:, None])
    p = made.prior()
    z = torch.linspace(-3, 12, 15_001, dtype=torch.float64)[:, None, None]
    with torch.no_grad():
        log_q = q.log_prob(z)
        kl = (log_q.exp() * (log_q - p.log_prob(z))).sum(0) * (15 / 15_000)
        sampled = draw(q, p, lambda z: z.sum(-1), 4000)
        values = (sampled.log_qz - sampled.log_pz).mean(1)
    assert kl.mean().item() == pytest.approx(2.271616807, abs=1e-8)
    assert abs(values.mean() - kl.mean()) < 4 * values.std() / math.sqrt(4000)
    torch.testing.assert_close(sampled.kl.mean(), values.mean())


@pytest.mark.parametrize("pseudo", ["features", "inputs"])
def test_is_the_mixture_of_the_posteriors_of_what_is_learned(pseudo: str) -> None:
    made = prior_of(pseudo)
    with torch.no_grad():
        made.logits.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
        h = made.pseudo
        if made.encoder is not None:
            assert made.pseudo.shape == (4, 1, 3, 4)
            h = made.encoder.network(made.pseudo.sigmoid())
        z = torch.randn(6, 2)
        expected = (made(h).log_prob(z[:, None]) + made.logits).logsumexp(-1)
        torch.testing.assert_close(made.prior().log_prob(z), expected)


def test_all_that_the_prior_is_made_of_learns() -> None:
    made = prior_of("inputs")
    made.prior().log_prob(torch.randn(6, 2)).sum().backward()
    assert made.encoder is not None
    for parameter in (*made.parameters(), *made.encoder.parameters()):
        assert parameter.grad is not None and (parameter.grad != 0).any()


def test_is_one_distribution_in_training_and_evaluation() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
    made = prior_of("inputs", network)
    z = torch.randn(6, 2)

    def seen(training: bool) -> Tensor:
        made.train(training)
        network.train(training)
        return made.prior().log_prob(z)

    assert torch.equal(seen(True), seen(False))
    assert network[2].num_batches_tracked == 0


@pytest.mark.parametrize("pseudo", ["features", "inputs"])
def test_trains_and_is_saved_with_the_encoder_once(pseudo: str) -> None:
    variant = Variant("vampprior", partial(VampPrior, components=3, pseudo=pseudo))
    one = cell(epochs=1)
    made = build(one, variant, digits())
    before = made.model.posterior.pseudo.detach().clone()
    fit(made, lambda *_: None)
    assert not torch.equal(made.model.posterior.pseudo, before)
    state = made.model.state_dict()
    assert not [name for name in state if name.startswith("posterior.encoder")]
    other = build(cell(seed=1), variant, digits()).model
    other.load_state_dict(complete(other, state) or {})
    z = torch.randn(5, one.latent)
    with torch.no_grad():
        before, after = (each.posterior.prior().log_prob(z) for each in (made.model, other))
        assert torch.equal(before, after)
    assert pack(other, {})


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="pseudo is one of features, inputs"):
        prior_of("images")
    with pytest.raises(ValueError, match="at least one component"):
        VampPrior(2, 5, 0, encoder=Shared(nn.Identity()), shape=(1, 1, 1))
