"""What a process shares is put back, functions of torch too; what is left alone is not named."""

import pytest
import torch

from vaebench.compute.shared_state import kept


def changed(what):
    with kept() as found:
        what()
    return found


@pytest.mark.parametrize("owner, name", [(torch.nn.functional, "softplus"), (torch, "logsumexp")])
def test_replaced_functions_of_torch_come_back(owner, name):
    before = getattr(owner, name)
    assert changed(lambda: setattr(owner, name, lambda *x: x)) == ["torch's functions"]
    assert getattr(owner, name) is before


def test_replaced_methods_come_back_inherited_ones_too():
    own, inherited = torch.nn.Module.__call__, torch.Tensor.exp

    def replace():
        torch.nn.Module.__call__ = torch.Tensor.exp = lambda self, *x: self

    assert changed(replace) == ["torch's functions"]
    assert torch.nn.Module.__call__ is own and torch.Tensor.exp is inherited
    assert "exp" not in vars(torch.Tensor)


def test_hooks_of_all_modules_are_taken_away():
    seen = []
    register = torch.nn.modules.module.register_module_forward_hook
    found = changed(lambda: register(lambda module, x, y: seen.append(module)))
    torch.nn.Identity()(1)
    assert found == ["torch's hooks of all modules"] and not seen


def test_what_is_left_alone_is_not_named():
    assert changed(lambda: torch.nn.Linear(2, 2)(torch.zeros(1, 2)).exp().sum()) == [
        "torch's random state"
    ]
    assert changed(lambda: None) == []
