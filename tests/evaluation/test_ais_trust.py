"""What the column of log p(x) does with images that are not trusted, and with a missed target."""

from dataclasses import replace

import pytest
import torch

from tests.evaluation.models import LogLikelihood, normal_log_density, standard
from tests.evaluation.test_metrics import measure, subject
from vaebench.evaluation import bdmc, certified
from vaebench.evaluation.metrics import likelihood

AIS, GAP = "log_likelihood_ais", "inference_gap"


def doubting(monkeypatch: pytest.MonkeyPatch, *images: int) -> list:
    """Let the sampler doubt some images, as where a single chain has all the weight."""
    real, kept = likelihood.ais, []

    def ais(*given, **settings):
        found = real(*given, **settings)
        ess = found.ess.clone()
        ess[list(images)] = 1.0
        kept.append(found)
        return replace(found, ess=ess)

    monkeypatch.setattr(likelihood, "ais", ais)
    return kept


def test_images_that_are_not_trusted_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = doubting(monkeypatch, 1)
    found = measure(subject(ais_images=4), "ais", GAP)
    values = kept[0].log_likelihood
    record = found[AIS]
    assert record["n"] == 3 and record["depends"]["left_out"] == 1
    assert record["value"] == pytest.approx(values[[0, 2, 3]].mean().item())
    assert record["per_image"].isnan().tolist() == [False, True, False, False]
    assert "1 of 4" in record["warning"] and "other 3 images" in record["warning"]
    gap = found[GAP]
    assert gap["n"] == 3 and gap["value"] == gap["value"]
    assert gap["per_image"].isnan().tolist() == [False, True, False, False]
    assert all(value == value for value in gap["detail"].values())


def test_none_that_is_trusted_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    doubting(monkeypatch, 0, 1, 2)
    record = measure(subject(), "ais")[AIS]
    assert record["value"] is None and "3 of 3" in record["reason"]


def test_all_that_are_trusted_are_in_the_mean() -> None:
    record = measure(subject(), "ais")[AIS]
    assert record["n"] == 3 and "left_out" not in record["depends"] and not record["warning"]


@pytest.mark.filterwarnings("ignore:The bracket does not close")
def test_a_missed_target_is_told() -> None:
    found = measure(subject(ais_target=1e-4, ais_budget=1200), "ais", "bdmc")
    for record in (found[AIS], found["bdmc_gap"]):
        assert "0.0001 nats is missed" in record["warning"]
        assert "1200 gradients" in record["warning"] and "--ais-budget" in record["warning"]
    met = measure(subject(ais_target=1.0), "ais", "bdmc")
    assert met[AIS]["warning"] is None and met["bdmc_gap"]["warning"] is None
    assert met["bdmc_gap"]["n"] == 8


def simulate(z: torch.Tensor) -> LogLikelihood:
    x = (z @ torch.ones(2, 3, dtype=z.dtype)).tanh() + 0.1 * torch.randn(len(z), 3)
    return LogLikelihood(
        x, lambda x, z: normal_log_density(x - (z @ torch.ones(2, 3, dtype=z.dtype)).tanh(), 0.1)
    )


def test_the_bracket_of_one_image_certifies_nothing() -> None:
    assert bdmc(simulate, standard(2), batch=1, steps=8).mean_gap_se == float("inf")
    with pytest.raises(ValueError, match="one image certifies nothing"):
        certified(simulate, standard(2), batch=1, target=0.1)


def test_a_bracket_that_does_not_close_warns() -> None:
    with pytest.warns(UserWarning, match=r"does not close to 0\.001 nats"):
        certified(simulate, standard(2), batch=4, target=1e-3, steps=3)
