import pytest
import torch

from vaebench.models.critic import PatchGAN


@pytest.mark.parametrize(
    ("side", "patch"), [(28, 8), (31, 8), (32, 18), (63, 18), (64, 38), (128, 38)]
)
def test_a_logit_sees_a_patch_of_the_documented_size(side, patch):
    pictures = torch.rand(1, 1, side, side, requires_grad=True)
    logits = PatchGAN((1, side, side), 2).eval()(pictures)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = pictures.grad[0, 0] != 0
    assert (seen.any(0).sum(), seen.any(1).sum()) == (patch, patch)
