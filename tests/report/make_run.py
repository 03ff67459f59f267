"""A run as the harness leaves it, made up: eight variants on digits, one of them failing."""

import io
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from vaebench.runs import files

#: log p(x) in nats, KL, FID, FID of reconstructions, sharpness, seconds.
TRUTH = {
    "gaussian": (-23.4, 14.1, 9.1, 4.9, 0.0061, 24.0),
    "iwae": (-22.9, 14.6, 9.4, 5.0, 0.0060, 41.0),
    "iaf": (-22.4, 14.3, 8.0, 4.7, 0.0063, 33.0),
    "gmm": (-23.2, 13.9, 9.0, 4.9, 0.0062, 55.0),
    "gamix": (-27.6, 19.5, 12.8, 4.2, 0.0068, 25.0),
    "vmf": (-25.1, 12.2, 11.5, 5.6, 0.0055, 29.0),
    "epanechnikov": (-23.9, 14.4, 9.3, 5.1, 0.0060, 26.0),
    "autoencoder": (None, None, None, 3.1, 0.0079, 20.0),
}
DEVIATIONS = {
    "gamix": {"bound": "its KL is that of the moments of a batch, not that of each image"},
    "autoencoder": {"likelihood": "prior and decoder are not a model of the data"},
}
INFO = {
    "elbo": ("ELBO", "nats/image", "higher", "Evidence lower bound on held-out images."),
    "log_likelihood_ais": (
        "log p(x) by AIS",
        "nats/image",
        "higher",
        "Log-likelihood by annealed importance sampling: a lower bound on average.",
    ),
    "kl": ("KL", "nats/image", None, "KL(q(z|x) || p(z)): the rate."),
    "distortion": ("Distortion", "nats/image", "lower", "-E_q[log p(x|z)]."),
    "active_units": ("Active units", "", None, "Latents whose mean varies by more than 0.01."),
    "fid_digits": ("FID of samples", "", "lower", "Fréchet distance on the digits classifier."),
    "rec_fid_digits": ("FID of reconstructions", "", "lower", "The same on reconstructions."),
    "sharpness": ("Sharpness of samples", "", None, "Variance of the Laplacian on [0, 1]."),
    "sharpness_rec": ("Sharpness of reconstructions", "", None, "The same on reconstructions."),
    "sharpness_real": ("Sharpness of real images", "", None, "The same on test images."),
    "mse": ("MSE", "", "lower", "Mean squared error per pixel of reconstructions."),
    "iwae_128": ("L₁₂₈", "nats/image", "higher", "Importance-weighted bound with 128 draws."),
}
#: Names that must come out as the text they are.
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    '=HYPERLINK("http://example.org")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    "**bold** | `code` | [click](javascript:alert(3))",
    "{{ 7 * 7 }} {% raw %}",
    r"$\frac{ _x^",
    "\x1b[31mred\u202e\n\n# heading",
    "_under",
    '" onmouseover="alert(4)',
    "ü" * 3000,
)
VERSIONS = {"python": "3.11.9", "torch": "2.15.0", "vaebench": "0.1.0"}


def metric(name: str, value: float | None, se: float | None, reason: str | None = None) -> dict:
    title, unit, better, description = INFO[name]
    return {
        "value": value,
        "se": se,
        "n": 400,
        "unit": unit,
        "better": better,
        "title": title,
        "description": description,
        "depends": {"observation": "bernoulli, dynamic binarisation", "draws": 64},
        "reason": reason,
        "warning": None,
    }


@cache
def per_image(name: str, seed: int) -> dict[str, np.ndarray]:
    """Values whose spread over images dwarfs the difference between variants."""
    log_px, kl, *_ = TRUTH[name]
    if log_px is None:
        return {}
    images = np.random.default_rng(0).normal(0, 5, 400)
    own = np.random.default_rng([sum(map(ord, name)), seed])
    noise = own.normal(0, 0.6, 400) + 0.1 * own.normal()
    return {
        "elbo": log_px - 1.1 + images + noise,
        "distortion": -log_px + 1.1 - kl - 0.7 * images,
        "log_likelihood_ais": np.where(np.arange(400) < 64, log_px + images + noise / 2, np.nan),
        "kl": kl + 0.3 * images + noise,
        "iwae_128": log_px - 0.2 + images + noise,
    }


def result(name: str, seed: int, **config: object) -> dict:
    """A finished cell's ``result.json``."""
    log_px, _, fid, rec_fid, sharp, seconds = TRUTH[name]
    own = np.random.default_rng([7, sum(map(ord, name)), seed])
    metrics = {}
    for column, values in per_image(name, seed).items():
        some = values[~np.isnan(values)]
        metrics[column] = metric(column, float(some.mean()), float(some.std() / len(some) ** 0.5))
        metrics[column]["n"] = len(some)
    if log_px is None:
        reason = "prior and decoder are not a model of the data, so there is no likelihood"
        metrics = {n: metric(n, None, None, reason) for n in ("elbo", "log_likelihood_ais", "kl")}
        metrics["fid_digits"] = metric("fid_digits", None, None, "no prior to draw samples from")
    else:
        metrics["active_units"] = metric("active_units", float(own.integers(8, 11)), None)
        metrics["fid_digits"] = metric("fid_digits", fid + 0.2 * own.normal(), 0.22)
        metrics["fid_digits"]["warning"] = "fewer images (400) than would settle the third digit"
    metrics["rec_fid_digits"] = metric("rec_fid_digits", rec_fid + 0.1 * own.normal(), 0.11)
    metrics["sharpness"] = metric("sharpness", sharp, 0.0001)
    metrics["sharpness_rec"] = metric("sharpness_rec", sharp * 1.1, 0.0001)
    metrics["sharpness_real"] = metric("sharpness_real", 0.0078, 0.0001)
    metrics["mse"] = metric("mse", 0.02 + 0.002 * own.random(), 0.0004)
    return {
        "schema": 1,
        "status": "done",
        "reason": None,
        "config": {
            "plugin": name,
            "dataset": "digits",
            "backbone": "resnetv2",
            "width": 8,
            "critic": "patchgan",
            "critic_weight": 0.1,
            "latent": 10,
            "likelihood": "bernoulli",
            "binarise": "dynamic",
            "seed": seed,
            "epochs": 60,
            "batch_size": 128,
            "lr": 0.002,
            **config,
        },
        "variant": {
            "name": name,
            "plugin": name,
            "package": "vaebench 0.1.0",
            "objective": "iwae" if name == "iwae" else "elbo",
            "samples": 8 if name == "iwae" else 1,
            "reference": "Kingma & Welling 2014, arXiv 1312.6114",
            "deviations": DEVIATIONS.get(name, {}),
            "penalties": ["variance"] if name == "gamix" else [],
        },
        "data": {"hash": "c0ffee" * 8, "train": 1197, "validation": 200, "test": 400},
        "metrics": metrics,
        "train": {
            "seconds": seconds,
            "epochs": 60,
            "best_epoch": 57,
            "parameters": {"encoder": 9100, "posterior": 2600, "decoder": 9800, "critic": 4100},
            "decoder_passes": 60 * 1197 * (8 if name == "iwae" else 1),
        },
        "timings": {"train": seconds, "ais": 9.0, "fid": 1.5},
        "versions": VERSIONS,
        "hardware": {"device": "cpu", "cores": 2},
        "date": "2026-01-02T03:04:05",
    }


def cell_name(found: dict) -> str:
    config = found["config"]
    tag = sum(str(config).encode()) * 2654435761 % 2**32
    return f"{config['plugin']}-{config['dataset']}-s{config['seed']}-{tag:08x}"


def write_cell(run: Path, found: dict) -> Path:
    """A finished cell with all of its files."""
    folder = run / "cells" / cell_name(found)
    name, seed = found["config"]["plugin"], found["config"]["seed"]
    files.write_json(folder / "result.json", found | {"cell": folder.name})
    files.write_text(folder / "per_image.csv", table(name, seed))
    files.write_text(folder / "history.csv", history(name, seed))
    files.write_bytes(folder / "reconstructions.png", grids(seed)[0])
    if TRUTH[name][0] is not None:
        files.write_bytes(folder / "samples.png", grids(seed)[1])
    return folder


@cache
def table(name: str, seed: int) -> str:
    """The content of ``per_image.csv``."""
    values = per_image(name, seed)
    lines = [",".join(["index", *values])]
    for i in range(400):
        texts = (
            "" if np.isnan(column[i]) else repr(float(column[i])) for column in values.values()
        )
        lines.append(",".join([str(i), *texts]))
    return "\n".join(lines) + "\n"


@cache
def grids(seed: int) -> tuple[bytes, bytes]:
    """Pictures of reconstructions and of samples."""
    shapes = digits(seed)
    return png(shapes[:32], np.sqrt(shapes[:32])), png(shapes[::-1])


@cache
def history(name: str, seed: int) -> str:
    log_px, kl, *_ = TRUTH[name]
    best, rate = (log_px - 1.1, kl) if log_px is not None else (-18.0, 0.0)
    own = np.random.default_rng([3, sum(map(ord, name)), seed])
    extra = ["train_variance"] if name == "gamix" else []
    columns = ["epoch", "seconds", "train_objective", "train_log_px", "train_kl", *extra]
    lines = [",".join([*columns, "train_critic", "valid_objective", "valid_elbo", "lr"])]
    for epoch in range(60):
        now = best - 30 * np.exp(-epoch / 8) + 0.15 * own.normal()
        kl_now = rate * (1 - np.exp(-epoch / 4))
        row = [epoch, 0.5 * epoch, now + 0.4, now + kl_now, kl_now, *[0.2] * len(extra)]
        row += [0.7 - 0.001 * epoch, now, "" if log_px is None else now, 0.002]
        lines.append(",".join(map(str, row)))
    return "\n".join(lines) + "\n"


@cache
def digits(seed: int) -> np.ndarray:
    from sklearn.datasets import load_digits

    images = load_digits().images / 16
    return images[np.random.default_rng(seed).permutation(len(images))[:64]]


def png(*stacks: np.ndarray) -> bytes:
    """Grids as `vaebench.pictures.grid` makes them: 16 to a line, the stacks' lines alternating."""
    lines = []
    for start in range(0, len(stacks[0]), 16):
        for stack in stacks:
            line = stack[start : start + 16].repeat(4, 1).repeat(4, 2)
            lines.append(np.hstack(np.pad(line, ((0, 0), (1, 1), (1, 1)), constant_values=1)))
    file = io.BytesIO()
    Image.fromarray((np.vstack(lines) * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def fail(run: Path, name: str, seed: int, reason: str) -> Path:
    """A cell that failed while training."""
    found = result(name, seed) | {"status": "failed", "reason": reason, "metrics": {}, "train": {}}
    folder = run / "cells" / cell_name(found)
    files.write_json(folder / "result.json", found | {"cell": folder.name})
    return folder


def make_run(run: Path, seeds: tuple[int, ...] = (0,), **config: object) -> Path:
    """Eight variants; vmf fails with the last seed."""
    files.write_text(run / "config.yaml", "dataset: digits\nplugins: [gaussian, iwae, iaf]\n")
    for seed in seeds:
        for name in TRUTH:
            if name == "vmf" and seed == seeds[-1]:
                fail(
                    run, name, seed, "the training loss is NaN at epoch 3: lower the learning rate"
                )
            else:
                write_cell(run, result(name, seed, **config))
    return run


if __name__ == "__main__":
    make_run(Path(sys.argv[1]), tuple(range(int(sys.argv[2]))))
