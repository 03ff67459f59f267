import pytest

from vaebench import Gaussian, Variant
from vaebench.registry.catalogue import catalogue
from vaebench.training.free_bits import separates_kl


@pytest.mark.parametrize(
    ("name", "honours"),
    [
        ("gaussian", True),
        ("beta-vae[beta=0.5]", True),
        ("vmf", True),
        ("gmm[components=2]", True),
        ("gamix[aggregate=false]", True),
        ("ladder", True),
        ("beta-tc", True),
        ("dip", True),
        ("infovae[alpha=0.5]", True),
        ("wae-mmd", False),
        ("gamix", False),
        ("iwae", False),
        ("iwae[estimator=dreg]", False),
        ("miwae", False),
        ("autoencoder", False),
        ("epanechnikov-paper", False),
    ],
)
def test_objectives_that_use_the_kl_can_leave_a_part_of_it_free(name, honours):
    assert separates_kl(catalogue().variant(name), 3) == honours


def test_a_kl_in_a_penalty_counts_and_one_that_is_written_out_does_not():
    def reconstruction(draw):
        return draw.mean(draw.log_px)

    def written_out(draw):
        return draw.mean(draw.log_px - draw.kl_weight * (draw.log_qz - draw.log_pz))

    assert separates_kl(Variant("a", Gaussian, reconstruction, penalties={"b": lambda d: d.kl}), 2)
    assert not separates_kl(Variant("a", Gaussian, written_out), 2)
