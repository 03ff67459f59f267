import hashlib
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import nn

import vaebench.evaluation
from vaebench.data.sprites import FACTORS
from vaebench.errors import UserError
from vaebench.evaluation.features import classifier, inception
from vaebench.evaluation.features.extractor import EXTRACTORS, Extractor, extractor
from vaebench.evaluation.functional.frechet import floor, frechet_distance, moments

WEIGHTS = Path(vaebench.evaluation.__path__[0]) / "features" / "weights"


@pytest.fixture(scope="module")
def test_split():
    data = load_digits()
    rows = numpy.random.default_rng(0).permutation(1797)[:400]
    images = torch.tensor(data.images[rows, None] / 16, dtype=torch.float32)
    return images, torch.tensor(data.target[rows])


def blurred(images):
    kernel = torch.full((1, 1, 3, 3), 1 / 9)
    return nn.functional.conv2d(images, kernel, padding=1)


@pytest.mark.parametrize(
    ("name", "size", "dimension", "classes", "least"),
    [
        ("digits", 8, 32, 10, 0.97),
        ("mnist", 28, 64, 10, 0.99),
        ("fashion-mnist", 28, 64, 10, 0.91),
        ("sprites", 32, 64, 3, 0.98),
        ("polydigits", 16, 64, 10, 0.99),
    ],
)
def test_shipped_weights_load_and_say_where_they_come_from(name, size, dimension, classes, least):
    path = WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size < 1_000_000
    _, about = classifier.load(path)
    assert float(about["accuracy"]) > least
    assert about["name"] == name and {"data", "recipe", "seed"} <= set(about)
    shipped = extractor(name)
    assert shipped.shape == (3 if name == "polydigits" else 1, size, size)
    features = shipped(torch.rand(5, *shipped.shape))
    assert features.shape == (5, dimension)
    assert features.dtype == torch.float32 and not features.requires_grad
    assert shipped.logits(features).shape == (5, classes)


def test_the_hash_is_that_of_the_file_and_stable():
    digits = extractor("digits")
    with (WEIGHTS / "digits.safetensors").open("rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    assert digits.sha256 == extractor("digits").sha256 == expected
    assert digits.identity == f"digits@{expected[:8]}" != extractor("mnist").identity


def test_digits_are_classified(test_split):
    images, labels = test_split
    digits = extractor("digits")
    guesses = digits.logits(digits(images)).argmax(1)
    assert (guesses == labels).float().mean() > 0.97


def test_the_mnist_classifier_reads_other_peoples_digits(test_split):
    images, labels = test_split
    large = nn.functional.interpolate(images, size=18, mode="bicubic").clamp(0, 1)
    mnist = extractor("mnist")
    guesses = mnist.logits(mnist(nn.functional.pad(large, (5, 5, 5, 5)))).argmax(1)
    assert (guesses == labels).float().mean() > 0.85


def test_features_see_blur_noise_and_missing_digits_and_little_else(test_split):
    images, labels = test_split
    digits = extractor("digits")
    real = moments(digits(images))

    def distance(other):
        return frechet_distance(moments(digits(other)), real)

    blurs = [distance((1 - w) * images + w * blurred(images)) for w in (0, 0.1, 0.3, 1)]
    assert blurs == sorted(blurs)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    noises = [distance(images + level * noise) for level in (0, 0.05, 0.1, 0.3)]
    assert noises == sorted(noises)
    by_chance = floor(real, 400, 400)
    assert blurs[0] < 1e-9
    assert blurs[-1] > 10 * by_chance
    assert noises[1] < by_chance, "noise that nobody sees"
    assert distance(images[labels != 3]) > by_chance
    assert distance(torch.rand_like(images)) > blurs[-1]


def test_every_view_of_polydigits_is_classified():
    polydigits = extractor("polydigits")
    for name, part in vaebench.read("polydigits[items=10]").parts.items():
        guesses = polydigits.logits(polydigits(part.test.pixels / 255)).argmax(1)
        assert (guesses == part.test.labels).float().mean() > 0.98, name


def test_features_of_sprites_see_every_factor():
    test = vaebench.read("sprites[items=1]").test
    sprites = extractor("sprites")
    features = sprites(test.pixels.float())
    assert (sprites.logits(features).argmax(1) == test.labels).float().mean() > 0.98
    half = torch.arange(len(test)) % 2 == 0
    real = moments(features[half])
    by_chance = floor(real, 500, 1000)
    assert frechet_distance(moments(features[~half]), real) < by_chance
    for factor, column in zip(FACTORS, test.factors[~half].T, strict=True):
        lower = features[~half][column < column.float().median()]
        assert frechet_distance(moments(lower), real) > 2 * by_chance, factor
    blur = frechet_distance(moments(sprites(blurred(test.pixels[~half].float()))), real)
    assert blur > 2 * by_chance


def test_chunks_do_not_matter_and_images_are_clamped():
    digits = extractor("digits")
    images = torch.randn(7, 1, 8, 8) + 0.5
    small = Extractor("digits", "", digits.network, digits.head, digits.shape, chunk=2)
    torch.testing.assert_close(small(images), digits(images.clamp(0, 1)))


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (3, 3, 8, 8)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(UserError, match=r"'digits' reads images of shape \(1, 8, 8\), not"):
        extractor("digits")(torch.rand(shape))


def test_bytes_are_refused():
    with pytest.raises(ValueError, match=r"Expected float images .* torch.uint8"):
        extractor("digits")(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))


def test_an_unknown_name_gets_the_closest():
    with pytest.raises(UserError, match=r"No feature extractor 'digit'. Did you mean 'digits'"):
        extractor("digit")


def test_strangers_bring_their_own():
    def pixels(weights, download):
        return Extractor("pixels", "0" * 64, nn.Flatten())

    own = extractor("pixels", known={**EXTRACTORS, "pixels": pixels})
    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(own(images), images.flatten(1))
    with pytest.raises(UserError, match="'pixels' knows no classes"):
        own.logits(own(images))


def test_a_damaged_classifier_is_named(tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"not safetensors")
    with pytest.raises(UserError, match=r"other.safetensors holds no classifier"):
        classifier.load(other)
    save_file(load_file(WEIGHTS / "digits.safetensors"), other)
    with pytest.raises(UserError, match="holds no classifier"):
        classifier.load(other)
    with pytest.raises(UserError, match="holds no classifier"):
        classifier.load(tmp_path / "missing.safetensors")


def test_inception_needs_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"not on this machine: --fid-weights PATH .* --download"):
        extractor("inception")
    with pytest.raises(UserError, match=r"There is no file nowhere.pth: --fid-weights"):
        extractor("inception", weights=Path("nowhere.pth"))
    (tmp_path / "checkpoints").mkdir()
    cached = tmp_path / "checkpoints" / inception.FILE
    cached.write_bytes(b"")
    assert inception.find() == cached


def test_a_download_that_fails_says_so(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(UserError, match=r"cannot be downloaded \(no route to host\)"):
        extractor("inception", download=True)


def test_a_file_without_inception_weights_is_named(tmp_path):
    path = tmp_path / "some.pth"
    path.write_bytes(b"garbage")
    with pytest.raises(UserError, match=r"some.pth holds no Inception weights"):
        extractor("inception", weights=path)
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"some.pth holds no Inception weights"):
        extractor("inception", weights=path)
    torch.save(Path, path)  # a pickled class: never executed
    with pytest.raises(UserError, match=r"some.pth holds no Inception weights"):
        extractor("inception", weights=path)


def test_a_broken_torch_fidelity_is_explained(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match="torch-fidelity does not import"):
        inception.Inception(Path("any"))


@pytest.mark.slow
def test_inception_features_are_those_of_torch_fidelity(tmp_path, monkeypatch):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path / "random.pth"
    torch.save({}, path)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        theirs = FeatureExtractorInceptionV3("x", ["2048"], str(path))
    torch.save(theirs.state_dict(), path)
    ours = extractor("inception", weights=path)

    grey = torch.rand(2, 1, 16, 16)
    pixels = torch.tensor((255 * grey.numpy()).round().astype("uint8")).repeat(1, 3, 1, 1)
    torch.testing.assert_close(ours(grey), theirs(pixels)[0])
    assert ours(torch.rand(1, 3, 8, 8)).shape == (1, 2048)
    assert ours.sha256 != extractor("digits").sha256


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(7, 2), r"'own' fails on images of shape \(1, 8, 8\) \(.*mat1"),
        (nn.Identity(), r"'own' returns features of shape \(3, 1, 8, 8\), not \(N, F\)"),
    ],
)
def test_a_strangers_network_that_fails_is_named(network, message):
    with pytest.raises(UserError, match=message):
        Extractor("own", "", network)(torch.rand(3, 1, 8, 8))


def test_a_thumbnail_is_the_mean_of_sixteen_fields_and_reads_every_shape():
    found = extractor("thumbnail")
    pictures = torch.rand(3, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    means = pictures.reshape(3, 3, 4, 2, 4, 3).mean((3, 5)).flatten(1)
    assert torch.allclose(found(pictures), means)
    assert found(torch.rand(2, 1, 3, 5)).shape == (2, 16)
