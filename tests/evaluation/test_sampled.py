import pytest
import torch

from tests.evaluation.test_metrics import measure, subject
from vaebench.errors import UserError
from vaebench.evaluation import gallery
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import select
from vaebench.models.samplers import training


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(training, "STEPS", 60)


def found(subject, names, samplers):
    return evaluate(subject, select(names, samplers), {}, lambda done: None).records


def test_samplers_give_metrics_of_samples_columns_of_their_own():
    names = [m.name for m in select(["fid", "kl", "sharpness"], ["prior", "gmm", "maf[width=8]"])]
    assert "fid_{extractor}@gmm" in names and "sharpness@maf[width=8]" in names
    assert "kl" in names and not {"kl@gmm", "rec_fid_{extractor}@gmm", "sharpness_real@gmm"} & {
        *names
    }
    alone = [m.name for m in select(["fid"], ["gmm"])]
    assert "fid_{extractor}@gmm" in alone and "fid_{extractor}" not in alone
    every = [[m.name for m in select(["all"], *samplers)] for samplers in ([["prior"]], [])]
    assert every[0] == every[1]


@pytest.mark.parametrize(
    ("sampler", "says"),
    [("gmn", "Did you mean 'gmm'"), ("gmm[component=3]", "Did you mean 'components'")],
)
def test_unknown_samplers_and_options_are_named(sampler, says):
    with pytest.raises(UserError, match=says):
        select(["fid"], [sampler])


def test_an_autoencoder_is_a_model_of_the_data_with_a_sampler():
    records = found(subject("autoencoder"), ["fid", "ais"], ["prior", "gmm[components=3]"])
    assert records["fid_digits"]["value"] is None
    assert records["fid_digits@gmm[components=3]"]["value"] > 0
    assert records["log_likelihood_ais@gmm[components=3]"]["value"] < 0
    assert records["fid_digits@gmm[components=3]"]["reference"] == "fid_digits_real"


def test_codes_beyond_the_test_images_are_decoded_too():
    model = subject()
    z = torch.randn(2 * len(model.x) + 3, *model.q.event_shape)
    assert model.decoded(z).shape == (len(z), *model.images.shape)


def test_what_has_no_density_has_samples_and_no_likelihood():
    records = found(subject(), ["sharpness", "ais"], ["two-stage"])
    assert records["sharpness@two-stage"]["value"] > 0
    lacking = records["log_likelihood_ais@two-stage"]
    assert "density" in lacking["reason"] and not lacking["failed"]


def test_numbers_under_the_prior_do_not_depend_on_samplers():
    alone = measure(subject(), "fid", "kl", "sharpness")
    both = found(subject(), ["fid", "kl", "sharpness"], ["gmm", "prior", "aggregate"])
    for name, record in alone.items():
        assert both[name]["value"] == record["value"]
    later = found(subject(), ["fid"], ["aggregate"])
    name = "fid_digits@aggregate"
    assert later[name]["value"] == both[name]["value"]


def test_samples_of_a_sampler_are_pictures(tmp_path):
    model = subject()
    model.under("gmm[components=2]")
    (tmp_path / "reconstructions.png").touch()
    ((name, content, _),) = gallery.pictures(model, tmp_path)
    assert name == "samples@gmm_components=2" and content.startswith(b"\x89PNG")
    (tmp_path / f"{name}.png").write_bytes(content)
    assert list(gallery.pictures(model, tmp_path)) == []


def test_a_subject_under_a_sampler_shares_what_the_prior_has_no_part_in():
    model = subject()
    features, real = model.h, model.real
    other = model.under("aggregate")
    assert other.h is features and other.real is real and other.p is not model.p
    assert model.under("aggregate") is other
    assert not torch.equal(other.samples, model.samples)
