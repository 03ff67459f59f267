import sys

import pytest
import torch

from vaebench.compute.devices import forget_peak, has_room, peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_peak_is_that_since_it_was_forgotten():
    forget_peak(CPU)
    before = peak_memory(CPU)
    large = torch.ones(200 * 2**18)  # 200 MiB
    during = peak_memory(CPU)
    del large
    assert during - before == pytest.approx(200, abs=30)
    forget_peak(CPU)
    assert peak_memory(CPU) < during - 150


def test_room_is_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert has_room(torch.device("cuda", 1), 500)
    assert not has_room(torch.device("cuda"), 501)
    assert has_room(torch.device("cpu"), 2**50)
    assert not has_room(torch.device("mps"), 1)
