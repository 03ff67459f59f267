import torch

from vaebench.compute.random import derive, generator, seeded


def test_purposes_have_their_own_seeds():
    found = {derive(s, p) for s in range(50) for p in ("order", "backbone", "samples")}
    assert len(found) == 150


def test_a_purpose_is_more_than_its_parts_joined():
    assert derive(1, "a", "b") != derive(1, "b", "a")


def test_seeded_leaves_the_global_state_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0, "anything"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(0, "anything"):
        assert torch.equal(torch.rand(3), inside)


def test_generators_repeat():
    a, b = (torch.rand(4, generator=generator(3, "x", 1)) for _ in range(2))
    assert torch.equal(a, b)
