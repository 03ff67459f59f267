"""A training divided among two processes ends as that of one, up to the order of sums."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning.utilities import rank_zero_only

from tests.cells import cell, digits
from vaebench.compute.ranks import ALONE, Ranks
from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.data.batches import Batches
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.execution.engines import local
from vaebench.execution.worker import plan
from vaebench.models.draw import Draw
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build
from vaebench.training.checkpoint import Keeper
from vaebench.training.fit import fit

CPU = torch.device("cpu")


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def together(function, folder, *arguments):
    """What two ranks make of a function of (rank, …), each in a process of its own."""
    at = port()
    tasks = [(function, Ranks(rank, 2, at), folder / str(rank), *arguments) for rank in (0, 1)]
    logs = [folder / f"log{rank}" for rank in (0, 1)]
    for event in local.run(as_rank, tasks, logs, 2):
        assert not event.exitcode, logs[event.task].read_text()
    return [torch.load(folder / str(rank), weights_only=True) for rank in (0, 1)]


def as_rank(function, ranks, path, *arguments_and_send):
    torch.set_num_threads(1)
    torch.save(function(ranks, *arguments_and_send[:-1]), path)


def gradients(ranks):
    """Gradients of a loss that couples the images, and takes densities at the draws of all."""
    address = f"tcp://127.0.0.1:{ranks.port}"
    if ranks.size > 1:
        torch.distributed.init_process_group("gloo", address, rank=ranks.rank, world_size=2)
    torch.manual_seed(0)
    variant = catalogue().variant("gamix[corrected=true]")
    model = build(cell(), variant, digits()).model
    model.double()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64).round()
    draw: Draw = model.draw(ranks.mine(x), 3, ranks=ranks)
    assert draw.log_px.shape == draw.log_qz.shape == (3, 6)
    loss = -variant.objective(draw).square().mean() + draw.log_w.logsumexp(0).prod() / 1e12
    loss = loss + draw.fixed.log_px(draw.z).std() + draw.fixed.log_qz(draw.z).std()
    loss.backward()
    loss = ranks.mine(draw.z.detach(), 1).mean()
    assert ranks.mean(loss).item() == pytest.approx(draw.z.mean().item(), rel=1e-12)
    return {name: ranks.mean(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def test_gathered_gradients_are_those_of_the_whole_batch(tmp_path):
    whole = gradients(ALONE)
    for one in together(gradients, tmp_path):
        assert one.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(one[name], gradient, rtol=1e-9, atol=1e-12)
    assert len(whole) > 8


def untimed(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def trained(ranks, plugin, changes):
    one = cell(plugin=plugin, **changes)
    variant = catalogue().variant(plugin)
    made = build(one, variant, load(one.dataset, Request(Path("nowhere"))))
    model, critic = made.model, made.critic
    done = fit(made, lambda row, validated: None, ranks=ranks)
    weights = dict(model.state_dict())
    for what, player in {"critic": critic, "rival": made.rival}.items():
        if player is not None:
            weights |= {f"{what}.{name}": value for name, value in player.state_dict().items()}
    return {"weights": weights, "history": untimed(done.history), "passes": done.decoder_passes}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "changes"),
    [
        ("gaussian", {}),
        ("gamix", {"budget": "decoder-passes"}),
        ("gmm", {"critic": "patchgan", "critic_weight": 5.0, "kl_warmup": 1}),
        ("iaf", {"critic": "patchgan"}),
        (
            "epanechnikov",
            {
                "optimiser": "sgd[momentum=0.9]",
                "weight_decay": 0.1,
                "clip_norm": 4.0,
                "ema": 0.9,
                "free_bits": 0.1,
            },
        ),
        ("avb[width=8]", {"critic": "patchgan", "kl_warmup": 1}),
        ("iwae", {"dataset": "digits[given=left]"}),
        ("m2[width=16]", {"dataset": "digits[labels=100]", "latent": 13}),
        ("acn[width=16]", {}),
        ("masked[width=16]", {"dataset": "digits[views=2]"}),
    ],
)
def test_two_ranks_train_as_one(tmp_path, plugin, changes):
    changes = {"evaluate": "last"} | changes
    whole = trained(ALONE, plugin, changes)
    for one in together(trained, tmp_path, plugin, changes):
        assert one["passes"] == whole["passes"]
        for name, value in whole["weights"].items():
            torch.testing.assert_close(one["weights"][name], value, rtol=2e-4, atol=2e-5)
        for row, expected in zip(one["history"], whole["history"], strict=True):
            # A KL is a small difference of log-densities of several nats, each rounded in float32.
            assert row == pytest.approx(expected, rel=1e-5, abs=2e-5)


def test_ranks_share_the_batches_of_one():
    images, likelihood = digits(), build(cell(), catalogue().variant("gaussian"), digits()).model
    likelihood = likelihood.likelihood
    whole, *parts = (
        Batches(images.train, likelihood, 64, 0, False, CPU, ranks)
        for ranks in (ALONE, Ranks(0, 2), Ranks(1, 2))
    )
    for (pixels, met), *shares in zip(whole, *parts, strict=True):
        assert torch.equal(pixels, torch.cat([mine for mine, _ in shares]))
        assert torch.equal(met.x, torch.cat([mine.x for _, mine in shares]))
        for _, mine in shares:
            assert torch.equal(mine.seen.index, met.seen.index)
    with pytest.raises(UserError, match="64 images cannot be divided among 3 --devices"):
        Batches(images.train, likelihood, 64, 0, False, CPU, Ranks(0, 3))
    assert rank_zero_only.rank == 0


def kept(ranks, path):
    one = cell(critic="patchgan", evaluate="last")
    variant = catalogue().variant("gaussian")
    made = build(one, variant, digits())
    report = lambda row, validated: None  # noqa: E731
    done = fit(made, report, Keeper(path, 0.0), ranks)
    return {"history": untimed(done.history)}


@pytest.mark.slow
def test_one_process_goes_on_where_two_stopped(tmp_path):
    whole = kept(ALONE, None)
    first, second = together(kept, tmp_path, tmp_path / "checkpoint")
    assert first == second
    size = (tmp_path / "checkpoint").stat().st_size
    again = kept(ALONE, tmp_path / "checkpoint")
    assert size and (tmp_path / "checkpoint").exists()
    for found in (first, again):
        for row, expected in zip(found["history"], whole["history"], strict=True):
            assert row == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_cell_on_two_devices_from_the_command_line(tmp_path):
    command = [sys.executable, "-m", "vaebench", "run", "--plugins", "gamix", "--device", "cpu"]
    command += ["--epochs", "2", "--metrics", "mse", "--json", "--backbone", "mlp"]
    command += ["--critic", "none"]

    def run(name, *more):
        return subprocess.run(
            [*command, "--out", str(tmp_path / name), *more], capture_output=True, text=True
        )

    one, two = run("one"), run("two", "--devices", "2", "--strategy", "ddp")
    assert two.returncode == 0, two.stderr
    (one,), (two,) = json.loads(one.stdout), json.loads(two.stdout)
    assert one["cell"] == two["cell"]
    assert two["metrics"]["mse"]["value"] == pytest.approx(one["metrics"]["mse"]["value"], rel=1e-4)
    assert two["hardware"]["devices"] == 2


@pytest.mark.parametrize(
    ("devices", "size", "message"),
    [(2, 33, "33 cannot be divided among 2"), (4096, 4096, "--devices 4096 is more than the")],
)
def test_a_division_that_cannot_work_is_refused(monkeypatch, devices, size, message):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(4))
    settings = Settings(plugins=("gaussian",), batch_size=(size,))
    with pytest.raises(UserError, match=message):
        plan(settings, Place(Path("nowhere"), "cpu", devices=devices))
