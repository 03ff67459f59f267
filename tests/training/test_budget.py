"""A budget ends training when as much is spent as it grants, whatever a step costs."""

from tests.cells import cell, digits
from vaebench import Gaussian, Variant, iwae
from vaebench.training.build import build
from vaebench.training.fit import fit

BATCHES = 1197 // 128


def train(samples, **changes):
    one = cell(**changes)
    variant = Variant("iwae", Gaussian, iwae, samples=samples)
    made = build(one, variant, digits())
    return fit(made, lambda row, validated: None)


def test_decoder_passes_are_those_of_training():
    assert train(1).decoder_passes == 2 * BATCHES * 128
    assert train(5).decoder_passes == 2 * BATCHES * 128 * 5
    assert train(5, critic="patchgan").decoder_passes == 2 * BATCHES * 128 * 5


def test_the_same_decoder_passes_for_one_draw_and_for_five():
    granted = 2 * BATCHES * 128
    assert train(1, budget="decoder-passes").decoder_passes == granted
    several = train(5, budget="decoder-passes")
    assert granted <= several.decoder_passes < granted + 5 * 128
    assert len(several.history) == several.epoch == 1
    with_critic = train(5, budget="decoder-passes", critic="patchgan").decoder_passes
    assert granted <= with_critic < granted + 5 * 128


def test_one_draw_spends_epochs_and_passes_alike():
    by_epochs, by_passes = train(1, kl_warmup=1), train(1, kl_warmup=1, budget="decoder-passes")
    for rows in zip(by_epochs.history, by_passes.history, strict=True):
        first, second = ({k: v for k, v in row.items() if k != "seconds"} for row in rows)
        assert first == second


def test_the_schedule_and_the_warm_up_end_with_the_budget():
    done = train(5, epochs=10, budget="decoder-passes", lr_schedule="linear", kl_warmup=1)
    assert [row["epoch"] for row in done.history] == [1, 2]
    assert done.history[0]["lr"] > 5 * done.history[-1]["lr"]


def test_seconds_are_seconds():
    short = train(1, budget="seconds", seconds=0.05, epochs=10)
    long = train(1, budget="seconds", seconds=0.5, epochs=10)
    assert short.seconds < long.seconds
    assert long.decoder_passes > 2 * short.decoder_passes
    assert 0.5 <= long.seconds
