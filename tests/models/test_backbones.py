import pytest
import torch

from vaebench.errors import UserError
from vaebench.models.backbones import BACKBONES
from vaebench.models.backbones.resnetv2 import sides
from vaebench.models.critic import CRITICS, PatchGAN, build, critic_loss, decoder_loss
from vaebench.registry.lookup import backbone

SHAPES = [(1, 8, 8), (3, 8, 16), (1, 28, 28), (3, 32, 32), (1, 24, 40), (3, 64, 64)]


@pytest.mark.parametrize("name", [n for n, b in BACKBONES.items() if b.kind == "pictures"])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(name, shape):
    encoder, decoder = backbone(name).build(shape, 5, 4)
    h = encoder(torch.rand(2, *shape))
    assert h.shape == (2, encoder.features)
    assert decoder(torch.randn(3, 5)).shape == (3, *shape)


@pytest.mark.slow
@pytest.mark.parametrize("side", range(8, 257, 8))
@pytest.mark.parametrize("colours", [1, 3])
def test_every_side_divisible_by_eight(side, colours):
    shape = (colours, side, 264 - side)
    encoder, decoder = backbone("resnetv2").build(shape, 3, 2)
    assert decoder(torch.randn(1, 3)).shape == (1, *shape)
    assert encoder(torch.rand(1, *shape)).shape == (1, encoder.features)


@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 7, 8), (1, 8, 257), (4, 32, 32)])
def test_shapes_that_cannot_work_are_refused(shape):
    with pytest.raises(UserError, match="resize the images"):
        backbone("resnetv2").check(shape)


def test_mlp_is_the_papers():
    encoder, decoder = backbone("mlp").build((1, 28, 28), 50, 200)
    count = sum(p.numel() for part in (encoder, decoder) for p in part.parameters())
    assert count == (784 + 1 + 200 + 1) * 200 + (50 + 1 + 200 + 1) * 200 + 201 * 784


def test_mlp_relu_is_the_papers():
    encoder, decoder = backbone("mlp-relu").build((1, 28, 28), 10, 256)
    count = sum(p.numel() for part in (encoder, decoder) for p in part.parameters())
    assert encoder.features == 128
    assert count == 785 * 256 + 257 * 128 + 11 * 128 + 129 * 256 + 257 * 784


def test_an_image_is_encoded_the_same_in_any_company():
    encoder, decoder = backbone("resnetv2").build((1, 8, 8), 4, 8)
    x, z = torch.rand(9, 1, 8, 8), torch.randn(9, 4)
    torch.testing.assert_close(encoder(x)[:1], encoder(x[:1]))
    torch.testing.assert_close(decoder(z)[:1], decoder(z[:1]))


def test_sides_end_at_four_or_below():
    assert sides(28) == [28, 14, 7, 4]
    assert all(sides(n)[-1] in (3, 4) for n in range(8, 257))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_critic_judges_patches(shape):
    critic = PatchGAN(shape, 4)
    logits = critic(torch.rand(2, *shape))
    assert logits.shape[:2] == (2, 1)
    assert 1 < logits[0].numel() < shape[1] * shape[2]


def test_a_critic_learns_to_tell_noise_from_flat_pictures():
    torch.manual_seed(0)
    critic = PatchGAN((1, 8, 8), 8)
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(60):
        real, fake = torch.rand(32, 1, 8, 8), torch.full((32, 1, 8, 8), 0.5)
        loss = critic_loss(critic(real), critic(fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1.25  # 1.39 is chance
    assert decoder_loss(critic(fake)) > decoder_loss(critic(real))


def test_none_is_no_critic():
    assert build("none", (1, 8, 8), 4) is None
    assert set(CRITICS) == {"none", "patchgan"}


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_maps_are_made_some_at_a_time_with_the_same_numbers(shape):
    torch.manual_seed(0)
    encoder, decoder = backbone("resnetv2").build(shape, 5, 16)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        torch.nn.init.normal_(parameter, 0, 0.1)
    for network, first, given in (
        (encoder, encoder.layers[0], torch.rand(90, *shape)),
        (decoder, decoder.first, torch.randn(90, 5)),
    ):
        seen = []
        first.register_forward_hook(lambda block, x, made, seen=seen: seen.append(len(made)))
        whole = network(given).detach()
        network._together = 32
        with torch.no_grad():
            assert network(given).equal(whole)
        assert seen == [90, 32, 58]


def test_as_many_maps_are_made_at_a_time_as_their_size_allows():
    pairs = [backbone("resnetv2").build((3, n, n), 2, 16) for n in (16, 32, 64, 256)]
    assert [encoder._together for encoder, _ in pairs] == [1024, 256, 64, 16]
    assert [decoder._together for _, decoder in pairs] == [512, 128, 32, 16]
