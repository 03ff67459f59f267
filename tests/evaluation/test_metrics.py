import dataclasses
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from tests.cells import cell, digits
from vaebench.data.images import Images, Request, Split
from vaebench.errors import UserError
from vaebench.evaluation.features.extractor import Extractor
from vaebench.evaluation.functional.reconstruction import mse, psnr, ssim
from vaebench.evaluation.functional.refine import Bounds
from vaebench.evaluation.functional.sharpness import sharpness
from vaebench.evaluation.metrics import features, images, likelihood
from vaebench.evaluation.metrics import subject as subjects
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.novelty import closest
from vaebench.evaluation.metrics.select import METRICS, select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Measurement
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build


def many(count):
    """Digits with the test images repeated up to a count."""
    whole = digits()
    rows = torch.arange(count) % len(whole.test)
    return replace(whole, test=Split(whole.test.pixels[rows], whole.test.labels[rows]))


def subject(plugin="gaussian", images=None, **more):
    variant = catalogue().variant(plugin)
    model = build(cell(plugin=plugin), variant, digits()).model
    model.eval().requires_grad_(False)
    settings = {"ais_images": 3, "iw_samples": 8, "iw_images": 50} | more
    return Subject(
        model=model,
        variant=variant,
        images=images or digits(),
        seed=0,
        observation="bernoulli",
        extractor_name="digits",
        **settings,
    )


def measure(subject, *names):
    found = evaluate(subject, select(names), {}, lambda done: None)
    return {
        name: {**record, "per_image": found.per_image.get(name)}
        for name, record in found.records.items()
    }


@pytest.fixture(scope="module")
def gaussian():
    return subject()


@pytest.fixture(scope="module")
def records(gaussian):
    return measure(gaussian, "all")


def test_names_groups_and_sets_select():
    assert select(["all"])[: len(METRICS)] == METRICS
    assert [m.name for m in select(["elbo"])] == ["elbo", "distortion"]
    assert [m.name for m in select(["kl"])] == ["kl"]
    default = set(select(["default"]))
    assert set(METRICS) - default == {m for m in METRICS if m.costly} != set()
    assert select(["default", "probe"]) != select(["default"])
    with pytest.raises(UserError, match="Did you mean 'elbo'"):
        select(["elbow"])


def test_names_are_unique_and_say_what_they_are():
    assert len({m.name for m in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.title and metric.unit and metric.description.endswith(".")
        assert metric.better in ("higher", "lower", None)
        assert metric.needs <= {"bound", "support", "density", "likelihood"}


def test_every_metric_has_a_number_or_a_reason(records, gaussian):
    assert list(records) == [gaussian.column(m) for m in select(["all"])]
    missing = {name for name, record in records.items() if record["value"] is None}
    unknown = {m.name for m in METRICS if m.group == "disentanglement"}
    unknown |= {gaussian.column(m) for m in METRICS if m.kinds and "pictures" not in m.kinds}
    unseen = {"label_accuracy", "label_fidelity", "log_likelihood_regression"}
    unseen |= {"description_length", "distortion_first_level"}
    unseen |= {m.name for m in METRICS if m.group == "bits"}
    assert missing == {"concentration", "ood_class", *unknown, *unseen}
    for name, record in records.items():
        assert (record["value"] is None) == bool(record["reason"]), name
        assert record["value"] is None or math.isfinite(record["value"]), name
        assert record["value"] is None or record["n"] > 0, name
        assert record["se"] is None or record["se"] >= 0, name


def test_records_are_plain_data_and_depend_on_no_arrays(records):
    for name, record in records.items():
        kept = {key: value for key, value in record.items() if key != "per_image"}
        json.dumps(kept)
        assert not any(isinstance(value, list | dict) for value in record["depends"].values()), name


def test_numbers_that_are_means_over_images_are(records):
    for name, record in records.items():
        if record["per_image"] is not None:
            assert record["per_image"].mean().item() == pytest.approx(record["value"]), name
            assert len(record["per_image"]) == record["n"], name


def test_bounds_gaps_and_terms_fit_together(records):
    def value(name):
        return records[name]["value"]

    assert value("elbo") == pytest.approx(-value("distortion") - value("kl"), abs=1e-3)
    assert value("elbo") < value("iwae_8") < value("log_likelihood_ais") + 1
    first = records["elbo"]["per_image"][:3].mean().item()
    assert value("inference_gap") == pytest.approx(value("log_likelihood_ais") - first, abs=1e-6)
    split = value("approximation_gap") + value("amortisation_gap")
    error = 5 * records["elbo"]["detail"]["monte_carlo_se"] * math.sqrt(400 / 3)
    assert split == pytest.approx(value("inference_gap"), abs=error)
    assert value("amortisation_gap") > 0


def test_the_kl_is_that_of_torch_and_its_histogram_counts_all_images(records, gaussian):
    q = gaussian.q
    prior = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    expected = kl_divergence(q, prior)
    found = records["kl"]
    assert found["value"] == pytest.approx(expected.mean().item(), rel=1e-5)
    assert sum(found["detail"]["histogram"]["counts"]) == 400
    assert sum(found["detail"]["per_dimension"]) == pytest.approx(found["value"], rel=1e-5)
    parts = records["posterior_variance"]["detail"]
    assert parts["kl_of_means"] + parts["kl_of_variances"] == pytest.approx(found["value"], 1e-4)


def test_information_and_marginal_add_up_to_the_rate(records):
    parts = [records[name] for name in ("mutual_information", "marginal_kl")]
    error = 5 * math.hypot(*(part["se"] for part in parts))
    assert sum(p["value"] for p in parts) == pytest.approx(records["kl"]["value"], abs=error)


def test_a_best_posterior_that_is_not_found_makes_no_gaps(monkeypatch):
    def unfinished(q, p, log_likelihood):
        zeros = torch.zeros(q.batch_shape)
        return Bounds(zeros, zeros, torch.full_like(zeros, 0.5))

    monkeypatch.setattr("vaebench.evaluation.metrics.gaps.refine", unfinished)
    found = measure(subject("gaussian"), "approximation_gap", "amortisation_gap")
    for name in ("approximation_gap", "amortisation_gap"):
        assert found[name]["value"] is None and "0.50 on one" in found[name]["reason"]


def test_saturated_information_says_so_and_has_stand_ins():
    model = subject()
    head = model.model.posterior.head
    with torch.no_grad():
        head.bias[3:] = -6.0
        head.weight[:3] *= 30
    found = measure(model, "latents")
    assert "saturated" in found["mutual_information"]["warning"]
    assert found["mutual_information"]["detail"]["saturated"]
    assert found["mutual_information"]["value"] <= math.log(400) + 1e-5
    assert "see marginal_kl_dimensions" in found["marginal_kl"]["reason"]
    assert "bracket is wide" in found["marginal_kl_dimensions"]["reason"]
    moment = found["marginal_kl_moment"]
    assert moment["value"] > 10 * moment["se"] > 0


def test_real_images_score_what_a_perfect_model_would(records):
    assert records["fid_digits_real"]["value"] < 5 < records["fid_digits_noise"]["value"]
    assert abs(records["kid_digits_real"]["value"]) < 6 * records["kid_digits_real"]["se"]
    for kind in ("precision", "recall", "coverage"):
        assert records[f"{kind}_digits_real"]["value"] > 0.9
    assert 0.8 < records["density_digits_real"]["value"] < 1.2


def test_feature_numbers_name_their_features(records, gaussian):
    for name in ("fid_digits", "rec_fid_digits", "kid_digits", "recall_digits"):
        assert records[name]["depends"]["features"] == gaussian.extractor.identity


def test_pictures_are_read_some_at_a_time_with_the_same_numbers(monkeypatch):
    whole = subject()
    a, b = whole.pictures, whole.reconstructions
    expected = {"mse": mse(a, b), "psnr": psnr(a, b), "ssim": ssim(a, b)}
    features = whole.extractor(a)
    monkeypatch.setattr(images, "ROWS", 100)
    monkeypatch.setattr(subjects, "_ROWS", 256)
    monkeypatch.setattr(Subject, "pictures", None)
    some = subject()
    found = measure(some, "mse", "reconstruction", "sharpness")
    for name, values in expected.items():
        assert found[name]["per_image"].equal(values)
    sharp = sharpness(a)
    assert found["sharpness_real"]["value"] == Measurement.mean(sharp).value
    assert some.real.features.equal(features)


class Copying(Subject):
    """A model that has learnt its training images by heart, all but the odd digits."""

    @property
    def samples(self):
        labels = self.images.train.labels
        return self.images.train.pixels[labels % 2 == 0][:400] / 16

    @property
    def reconstructions(self):
        return self.pictures


def test_copies_and_missed_classes_are_seen():
    fields = {f.name: getattr(subject(), f.name) for f in dataclasses.fields(Subject) if f.init}
    copying = Copying(**fields)
    assert copying.made(closest) is None
    found = measure(copying, "modes", "overfitting", "neighbours", "mse", "reconstruction", "fid")
    assert found["missed_classes_digits"]["value"] == 5
    shares = found["missed_classes_digits"]["detail"]["samples"]
    assert sum(shares[1::2]) < 0.05 and sum(shares) == pytest.approx(1)
    assert found["copies_digits"]["value"] > 0.99
    assert found["copies_digits"]["detail"]["median_ratio"] < 1e-3
    rows = (digits().train.labels % 2 == 0).nonzero()[:, 0]
    for sample, training, distance in found["copies_digits"]["detail"]["pairs"]:
        assert rows[sample] == training and distance < 1e-3
    assert copying.made(closest).training == 1197
    assert found["precision_digits"]["value"] > 0.9
    assert found["recall_digits"]["value"] < 0.7 < found["recall_digits_real"]["value"]
    assert found["rec_fid_digits"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["mse"]["value"] == 0
    assert "infinite for 400 images" in found["psnr"]["reason"]
    assert found["ssim"]["value"] == pytest.approx(1, abs=1e-5)


def test_what_a_point_mass_has_no_number_for_has_its_reason():
    found = measure(
        subject("autoencoder"), "elbo", "kl", "latents", "iwae_{k}", "fid", "mse", "probe_knn_100"
    )
    point = "the code is a point, without a density"
    for name in ("elbo", "kl", "iwae_8", "mutual_information", "marginal_kl", "collapsed"):
        assert found[name]["value"] is None and point in found[name]["reason"]
    assert "nothing ties the codes to the prior" in found["fid_digits"]["reason"]
    for name in ("distortion", "mse", "rec_fid_digits", "probe_knn_100", "marginal_kl_moment"):
        assert found[name]["value"] is not None
    assert found["posterior_variance"]["value"] == 0


def test_a_posterior_on_the_sphere_has_a_concentration_and_no_axes():
    found = measure(subject("vmf"), "latents", "active_units", "amortisation_gap")
    assert found["concentration"]["value"] > 0
    assert 0 < found["concentration"]["detail"]["resultant_length"] < 1
    assert "no axes" in found["active_units"]["reason"]
    boxed = measure(subject("epanechnikov-paper"), "active_units")["active_units"]
    assert 0 <= boxed["value"] <= 3
    assert found["amortisation_gap"]["value"] >= 0
    assert "features" in found["amortisation_gap"]["depends"]["searched"]
    assert "not a diagonal Gaussian" in found["marginal_kl_moment"]["reason"]


def test_a_kl_without_a_closed_form_knows_its_monte_carlo_error():
    model = subject("gmm")
    assert not model.closed_kl
    first = measure(model, "kl")["kl"]
    again = measure(replace(model, seed=1), "kl")["kl"]
    error = math.hypot(*(r["detail"]["monte_carlo_se"] for r in (first, again)))
    assert 0 < abs(first["value"] - again["value"]) < 5 * error < first["value"]
    assert first["depends"]["draws"] == 64
    few = measure(subject("gmm", images=many(3000)), "elbo", "kl")
    assert few["elbo"]["depends"]["draws"] == 6 and few["kl"]["depends"]["draws"] == 64


def test_the_sampled_kl_is_that_of_the_closed_form():
    model = subject(images=many(500))
    closed = measure(model, "kl")["kl"]
    model.__dict__["closed_kl"] = False
    sampled = measure(model, "kl")["kl"]
    assert closed["depends"] == {} and sampled["depends"] == {"draws": 64}
    error = sampled["detail"]["monte_carlo_se"]
    assert 0 < abs(sampled["value"] - closed["value"]) < 4.5 * error < 0.2 * closed["value"]


def test_the_kl_of_a_chain_is_told_by_block(records):
    of_ladder = measure(subject("ladder"), "kl", "elbo", "distortion")
    kl, blocks = of_ladder["kl"]["value"], of_ladder["kl"]["detail"]["per_block"]
    assert list(blocks) == ["z2", "z1"] and min(blocks.values()) > 0
    assert sum(blocks.values()) == pytest.approx(kl, rel=1e-5)
    terms = -of_ladder["distortion"]["value"] - of_ladder["elbo"]["value"]
    assert terms == pytest.approx(kl, abs=5 * of_ladder["elbo"]["detail"]["monte_carlo_se"] + 0.01)
    assert "per_block" not in records["kl"]["detail"]


def test_the_curve_of_the_bound_ends_in_the_bound_and_starts_below_it(records):
    found = records["iwae_8"]
    curve = found["detail"]["curve"]
    assert curve["k"] == [1, 2, 5, 8]
    assert curve["bound"] == sorted(curve["bound"])
    ends = curve["bound"][-1], curve["se"][-1]
    assert ends == pytest.approx((found["value"], found["se"]), rel=1e-12)
    # L_1 is the ELBO, here of the first 50 images and from other draws.
    elbo = records["elbo"]["per_image"][:50].mean().item()
    error = 5 * records["elbo"]["detail"]["monte_carlo_se"] * math.sqrt(400 / 50 * (1 + 32 / 8))
    assert curve["bound"][0] == pytest.approx(elbo, abs=error)
    assert measure(subject(iw_samples=1), "iwae_{k}")["iwae_1"]["detail"]["curve"]["k"] == [1]


def test_the_bound_does_not_depend_on_how_many_images_are_decoded_at_a_time(monkeypatch):
    model = subject("gmm", iw_images=300, iw_samples=3)
    first = measure(model, "iwae_{k}")["iwae_3"]["per_image"]
    monkeypatch.setattr(likelihood, "PIXELS", 1)
    second = measure(model, "iwae_{k}")["iwae_3"]["per_image"]
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)
    other = measure(replace(model, seed=1), "iwae_{k}")["iwae_3"]["per_image"]
    assert not torch.equal(first, other)


def test_a_held_out_class_is_told_apart_by_its_bound():
    images = load("digits[without=0]", Request(Path("nowhere")))
    found = measure(subject(images=images), "ood_class")["ood_class"]
    assert found["depends"]["foreign"] == "178 images" and found["n"] == len(images.test)
    assert 0 < found["value"] < 1 and 0 < found["se"] < 0.05
    # The test images under another name cannot be told apart.
    same = replace(images, outside=images.test)
    found = measure(subject(images=same), "ood_class")["ood_class"]
    assert abs(found["value"] - 0.5) < 4.5 * found["se"]


def test_a_data_set_without_labels_has_no_probe():
    whole = digits()
    bare = Images(*(Split(s.pixels) for s in (whole.train, whole.validation, whole.test)), 17)
    found = measure(subject(images=bare), "probe")
    assert {record["reason"] for record in found.values()} == {"the data set has no labels"}


def test_an_extractor_that_cannot_read_the_images_costs_its_own_columns():
    found = measure(replace(subject(), extractor_name="mnist"), "fid", "modes", "mse")
    assert "reads images of shape (1, 28, 28)" in found["fid_mnist"]["reason"]
    assert "reads images of shape" in found["missed_classes_mnist"]["reason"]
    assert found["mse"]["value"] is not None


def test_numbers_are_a_function_of_the_seed():
    names = ("elbo", "kl", "latents", "fid", "amortisation_gap")
    first, second = (measure(subject("gmm"), *names) for _ in range(2))
    for name, record in first.items():
        assert record["value"] == second[name]["value"]


def test_a_large_feature_space_gets_no_bootstrap(monkeypatch):
    monkeypatch.setattr(features, "MOST_DIMENSIONS", 16)
    found = measure(subject(), "fid")
    assert found["fid_digits"]["se"] is None and found["fid_digits"]["value"] > 0
    assert "32 dimensions make one slow" in found["fid_digits_infinity"]["reason"]


def test_an_extractor_without_classes_has_no_class_histogram(monkeypatch):
    own = Extractor("pixels", "0" * 64, torch.nn.Flatten())
    known = {"pixels": lambda weights, download: own}
    monkeypatch.setattr("vaebench.evaluation.metrics.subject.chosen", lambda name: known)
    found = measure(replace(subject(), extractor_name="pixels"), "fid", "kid", "modes")
    assert found["fid_pixels"]["depends"]["features"] == "pixels@00000000"
    assert found["fid_pixels"]["depends"]["dimensions"] == 64
    low, high = found["fid_pixels"]["detail"]["interval"]
    assert low < found["fid_pixels"]["value"] < high
    assert found["kid_pixels"]["value"] > found["kid_pixels_real"]["value"]
    assert "'pixels' knows no classes" in found["missed_classes_pixels"]["reason"]


class Constant(torch.nn.Module):
    def forward(self, images):
        return torch.full((len(images), 3), 0.3) + 1e-8 * images.flatten(1)[:, :3]


def test_features_that_are_all_the_same_measure_nothing(monkeypatch):
    known = {"flat": lambda weights, download: Extractor("flat", "2" * 64, Constant())}
    monkeypatch.setattr("vaebench.evaluation.metrics.subject.chosen", lambda name: known)
    found = measure(replace(subject(), extractor_name="flat"), "fid", "kid", "neighbours")
    for record in found.values():
        assert record["value"] is None and "the same" in record["reason"]


class Broken(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1) / 0


def test_features_that_are_not_finite_give_a_reason(monkeypatch):
    known = {"broken": lambda weights, download: Extractor("broken", "1" * 64, Broken())}
    monkeypatch.setattr("vaebench.evaluation.metrics.subject.chosen", lambda name: known)
    found = measure(replace(subject(), extractor_name="broken"), "fid")
    assert "not finite" in found["fid_broken"]["reason"]
