import pytest
import torch

from tests.cells import cell, digits
from vaebench.evaluation.metrics.gradients import encoder_snr, signal_to_noise
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Unavailable
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build


def subject(plugin):
    variant = catalogue().variant(plugin)
    model = build(cell(plugin=plugin, backbone="mlp", width=16), variant, digits()).model
    model.eval().requires_grad_(False)
    return Subject(
        model=model,
        variant=variant,
        images=digits(),
        seed=0,
        observation="bernoulli",
        extractor_name="digits",
    )


def test_the_signal_of_an_average_grows_with_the_root_of_its_draws():
    one, many = (encoder_snr(subject(f"gaussian[samples={k}]")) for k in (1, 9))
    error = (many.se**2 + 9 * one.se**2) ** 0.5
    assert many.value == pytest.approx(3 * one.value, abs=4 * error)
    assert error < 0.2 * many.value


def test_the_ratio_is_that_of_a_known_law():
    torch.manual_seed(0)
    mean = torch.tensor([0.3, -0.4], dtype=torch.float64)
    g = mean + 5 * torch.randn(400_000, 2, dtype=torch.float64)
    found = signal_to_noise(g.sum(0), g.square().sum().item(), len(g))
    assert found == pytest.approx(0.5 / (5 * 2**0.5), rel=0.05)


def test_without_noise_there_is_no_ratio():
    with pytest.raises(Unavailable, match="whatever the noise"):
        encoder_snr(subject("autoencoder"))


def test_the_model_is_left_frozen():
    found = subject("gaussian")
    encoder_snr(found)
    assert not any(p.requires_grad for p in found.model.parameters())
