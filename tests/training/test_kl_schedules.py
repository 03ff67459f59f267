import math

import pytest

from vaebench.errors import UserError
from vaebench.training.kl_schedules import KL_SCHEDULES, kl_schedule


def test_a_line_is_the_share_of_the_warm_up():
    weight = kl_schedule("linear", 4, 10)
    assert [weight(t) for t in (0, 1, 2.5, 4, 9)] == [0, 0.25, 0.625, 1, 1]
    assert kl_schedule("linear", 0, 10)(0) == 1


def test_a_sigmoid_is_a_logistic_curve_from_nought_to_one():
    weight = kl_schedule("sigmoid[steepness=6]", 5, 10)
    logistic = [1 / (1 + math.exp(-6 * (p - 0.5))) for p in (0, 0.3, 0.5, 0.9, 1)]
    expected = [(s - logistic[0]) / (logistic[-1] - logistic[0]) for s in logistic]
    assert [weight(5 * p) for p in (0, 0.3, 0.5, 0.9, 1)] == pytest.approx(expected)
    assert weight(4.999) < 1 == weight(5) == weight(9)
    values = [kl_schedule("sigmoid", 5, 10)(i / 100) for i in range(501)]
    assert values == sorted(values) and values[0] == 0


@pytest.mark.parametrize(("cycles", "share"), [(4, 0.5), (2, 0.25), (1, 0.9), (5, 0.6)])
def test_cycles_are_those_of_the_paper(cycles, share):
    epochs, steps = 20, 7
    total = epochs * steps
    spelled = f"cyclical[cycles={cycles},share={share}]"
    weight = kl_schedule(spelled, 0, epochs)
    for t in range(1, total + 1):
        tau = math.fmod(t - 1, total / cycles) / (total / cycles)
        expected = tau / share if tau <= share else 1.0
        assert weight((t - 1) / steps) == pytest.approx(expected, abs=1e-9), t
    last = [weight(epoch - 1 / steps) for epoch in range(1, epochs + 1)]
    assert last[-1] == 1 and sum(one == 1 for one in last) >= cycles
    assert kl_schedule("cyclical", 0, 20)(1.25) == kl_schedule(
        "cyclical[cycles=4,share=0.5]", 0, 20
    )(1.25)


@pytest.mark.parametrize(
    ("spelled", "warmup", "message"),
    [
        ("cyclic", 0, "Did you mean 'cyclical'"),
        ("cyclical[cycle=3]", 0, "Did you mean 'cycles'"),
        ("cyclical[cycles=0]", 0, "cycles"),
        ("cyclical[cycles=11]", 0, "full weight"),
        ("cyclical[share=1]", 0, "full weight"),
        ("cyclical[share=nan]", 0, "full weight"),
        ("cyclical", 2, "leave out --kl-warmup"),
        ("sigmoid", 0, "give --kl-warmup"),
        ("sigmoid[steepness=0]", 3, "0.01 to 1000"),
        ("sigmoid[steepness=nan]", 3, "0.01 to 1000"),
    ],
)
def test_schedules_that_cannot_work_are_refused(spelled, warmup, message):
    with pytest.raises(UserError, match=message):
        kl_schedule(spelled, warmup, 20)


def test_every_schedule_ends_at_one():
    for name, warmup in zip(KL_SCHEDULES, (3, 3, 0), strict=True):
        assert kl_schedule(name, warmup, 20)(19.9) == 1
