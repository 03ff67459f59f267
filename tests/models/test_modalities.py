"""Parts of an item are independent given z, whatever they are and in whatever order."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from vaebench.compute.precision import reduced
from vaebench.models.backbones import BACKBONES
from vaebench.models.draw import draw
from vaebench.models.items import Items
from vaebench.models.likelihoods import Bernoulli, Gaussian
from vaebench.models.likelihoods import Tokens as Categories
from vaebench.models.modalities import EachPart, Form, Layout, Modalities
from vaebench.models.observation import Pixels
from vaebench.models.posterior import Gaussian as Plain
from vaebench.models.tokens import Tokens
from vaebench.models.vae import VAE

D, B = 3, 6
FORMS = {
    "grey": Form("pictures", (1, 4, 4), 17),
    "text": Form("tokens", (5, 7), 7),
    "real": Form("pictures", (1, 1, 5), 2, real=True),
}


def networks(names=tuple(FORMS), latent=D):
    """The layout of some parts, and an encoder and observation for each."""
    layout, encoders, parts = Layout({name: FORMS[name] for name in names}), {}, {}
    for name in names:
        form = FORMS[name]
        with torch.random.fork_rng():
            torch.manual_seed(len(name) + form.size)
            kind = "lstm" if form.kind == "tokens" else "mlp"
            encoders[name], decoder = BACKBONES[kind].build(form.shape, latent, 8)
        if form.kind == "tokens":
            parts[name] = Tokens(decoder, Categories(7), 5)
        else:
            parts[name] = Pixels(decoder, Gaussian(2) if form.real else Bernoulli(17))
    return layout, encoders, parts


def pieces():
    torch.manual_seed(1)
    text = torch.randint(7, (B, 5))
    text[:, 4] = -1
    return {
        "grey": torch.rand(B, 1, 4, 4).round(),
        "text": text,
        "real": torch.randn(B, 1, 1, 5),
    }


def test_log_p_is_the_sum_over_parts():
    layout, _, parts = networks()
    x, z = pieces(), torch.randn(4, B, D)
    model, flat = Modalities(layout, parts), layout.joined(x, torch.float32)
    each = torch.stack([parts[name].log_prob(z, x[name]) for name in FORMS])
    torch.testing.assert_close(model.log_prob(z, flat), each.sum(0))
    torch.testing.assert_close(model.each(model.outputs(z, flat), flat), each)
    for only in (["text"], [0, 2], ["real", "grey"]):
        chosen = [i for i, name in enumerate(FORMS) if i in only or name in only]
        torch.testing.assert_close(model.seeing(only).log_prob(z, flat), each[chosen].sum(0))
    assert model.only == tuple(FORMS)


def test_the_order_of_parts_changes_nothing():
    x, z = pieces(), torch.randn(4, B, D)
    found = []
    for names in (tuple(FORMS), tuple(reversed(FORMS))):
        layout, _, parts = networks(names)
        found.append(Modalities(layout, parts).log_prob(z, layout.joined(x, torch.float32)))
    torch.testing.assert_close(*found)


def test_features_stand_side_by_side():
    layout, encoders, _ = networks()
    x = pieces()
    encoder = EachPart(layout, encoders)
    h = encoder(layout.joined(x, torch.float32)).split(encoder.sizes, -1)
    for name, mine in zip(FORMS, h, strict=True):
        torch.testing.assert_close(mine, encoders[name](x[name]))


def test_decoders_read_the_dimensions_that_they_are_told():
    layout, _, parts = networks(latent=2)
    x, z = pieces(), torch.randn(4, B, 4)
    model, reads = Modalities(layout, parts), [(0, 1), (0, 2), (0, 3)]
    model.tell(reads)
    each = [parts[n].log_prob(z[..., list(r)], x[n]) for n, r in zip(FORMS, reads, strict=True)]
    flat = layout.joined(x, torch.float32)
    torch.testing.assert_close(model.log_prob(z, flat), sum(each))
    assert model.alone(z[0]).shape == (B, 16 + 5 * 7 + 5)
    shown = model.mean(z)
    assert shown.keys() == {"grey", "real"} and shown["grey"].shape == (4, B, 1, 4, 4)
    torch.testing.assert_close(model.expected(model.outputs(z, flat))["grey"], shown["grey"])


def test_draws_are_items():
    layout, _, parts = networks()
    x = layout.split(Modalities(layout, parts).sample(torch.zeros(9, B, D)))
    assert x["grey"].shape == (9, B, 1, 4, 4) and set(x["grey"].unique().tolist()) == {0.0, 1.0}
    assert x["text"].dtype == torch.int64 and 0 <= x["text"].min() <= x["text"].max() < 7


class Subsets(Plain):
    """The Gaussian of features that are zero where a part is missing."""

    sizes = (8, 8, 8)

    def of_parts(self, h, parts):
        each = h.split(self.sizes, -1)
        return self(torch.cat([e * (i in parts) for i, e in enumerate(each)], -1))


def model(posterior):
    layout, encoders, parts = networks()
    made = VAE(EachPart(layout, encoders), posterior(D, 24), Modalities(layout, parts))
    return made, Items(layout.joined(pieces(), torch.float32))


def test_objectives_are_told_each_part_and_draws_from_some_of_them():
    made, x = model(Subsets)
    whole = made.draw(x, 5)
    assert whole.each.shape == (3, 5, B) and len(whole.outputs) == 3
    torch.testing.assert_close(whole.each.sum(0), whole.log_px)
    some = whole._replace(kl_weight=0.3).of_parts([2])
    assert some.kl_weight == 0.3 and some.each.shape == (3, 5, B)
    torch.testing.assert_close(some.log_px, some.each[2])
    q = made.posterior.of_parts(made.features(x), [2])
    torch.testing.assert_close(some.log_qz, q.log_prob(some.z))
    torch.testing.assert_close(some.fixed.log_qz(some.z), some.log_qz)
    torch.testing.assert_close(some.fixed.log_px(some.z), some.log_px)
    (-some.log_w.mean()).backward()
    assert all(p.grad is not None for p in made.observation.parts["real"].decoder.parameters())


def test_items_without_parts_have_none_to_draw_from():
    q = Independent(Normal(torch.zeros(B, 2), 1.0), 1)
    with pytest.raises(ValueError, match="no parts"):
        draw(q, q, lambda z: z.sum(-1), 2).of_parts([0])
    made, x = model(Plain)
    with pytest.raises(NotImplementedError, match="whole items"):
        made.draw(x, 2).of_parts([0])


def test_each_decoder_returns_float32_in_reduced_precision():
    made, x = model(Plain)
    with reduced([made.encoder, made.decoder], "bf16-mixed", torch.device("cpu")):
        rough = made.draw(x, 2)
    assert {each.dtype for each in rough.outputs.values()} == {torch.float32}
    torch.testing.assert_close(rough.log_px, made.log_likelihood(rough.z, x), rtol=0.05, atol=0.5)


@pytest.mark.parametrize("name", FORMS)
def test_one_part_is_the_part_to_the_bit(name):
    layout, encoders, parts = networks([name])
    x, z = pieces()[name], torch.randn(4, B, D)
    flat, one = layout.joined({name: x}, torch.float32), Modalities(layout, parts)
    assert torch.equal(EachPart(layout, encoders)(flat), encoders[name](x))
    assert torch.equal(one.log_prob(z, flat), parts[name].log_prob(z, x))
    assert isinstance(one.decoder, nn.Module)
