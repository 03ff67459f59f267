import pytest
import torch
from torch import nn

from tests.cells import cell, digits
from vaebench.compute.compiled import compiled
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that changes nothing and says what it was asked to run."""
    ran = []

    def program(written):
        def run(*given):
            ran.append(written)
            return written(*given)

        return run

    monkeypatch.setattr(torch, "compile", program)
    return ran


def test_a_network_is_compiled_where_it_trains_and_as_written_elsewhere(compiler):
    network, x = nn.Linear(2, 2), torch.ones(1, 2)
    with compiled([network]) as reasons:
        trained = network(x)
        assert len(compiler) == 1
        network.eval()
        assert torch.equal(network(x), trained)
        assert len(compiler) == 1
    network.train()
    network(x)
    assert len(compiler) == 1
    assert reasons == []


def test_a_network_that_cannot_be_compiled_is_left_as_written_with_the_reason(monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    def program(written):
        def run(*given):
            raise TorchDynamoException("no compiler here\nand more")

        return run

    monkeypatch.setattr(torch, "compile", program)
    network, x = nn.Linear(2, 2), torch.ones(1, 2)
    wanted = network(x)
    with compiled([network]) as reasons:
        assert torch.equal(network(x), wanted)
        assert torch.equal(network(x), wanted)
    assert reasons == ["no compiler here"]


def test_training_compiles_encoder_decoder_and_critic_on_request(compiler):
    plan = cell(critic="patchgan", epochs=1)
    done = []
    for compile in (False, True):
        made = build(plan, catalogue().variant("gaussian"), digits())
        trained = fit(made, lambda row, validated: None, compile=compile)
        done.append((made.model.state_dict(), trained.remarks))
        assert bool(compiler) is compile
    (weights, _), (others, remarks) = done
    assert remarks == ()
    assert len({id(each.__self__) for each in compiler}) == 3
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.slow
def test_compiled_training_comes_to_the_same():
    plan = cell(epochs=1)
    found = []
    for compile in (False, True):
        made = build(plan, catalogue().variant("gaussian"), digits())
        found.append(fit(made, lambda row, validated: None, compile=compile).history[-1])
    assert found[1]["train_objective"] == pytest.approx(found[0]["train_objective"], rel=1e-4)
