"""`vaebench run`: settings from flags and files."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from vaebench.config.names import seeds, split
from vaebench.config.settings import Settings, from_dict, read
from vaebench.errors import UserError

_DEFAULTS = Settings()


def _option(name: str, text: str, *, list_of: Any = None, **more: Any) -> Any:
    """An option of a setting; comma-separated where the setting is an axis."""
    default = getattr(_DEFAULTS, name)
    if list_of is None:
        more.setdefault("type", type(default) if default is not None else str)
    if default is not None and default != (None,):
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text += f"  [default: {shown}]"
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        default=None,
        help=text,
        callback=None
        if list_of is None
        else lambda ctx, param, value: _items(value, param, list_of),
        **more,
    )


def _items(value: str | None, param: click.Parameter, kind: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    try:
        items = kind(value) if kind is seeds else [kind(item) for item in split(value)]
    except ValueError:
        raise UserError(
            f"Cannot read {param.opts[0]} {value!r}; write numbers with commas between."
        ) from None
    if not items:
        raise UserError(f"{param.opts[0]} is empty; name some, or leave it out.")
    return tuple(dict.fromkeys(items))


@click.command()
@_option("plugins", "Variants, or plugins for all of theirs; 'all' for everything.", list_of=str)
@_option("dataset", "Data sets: mnist, mnist[without=9], folder:PATH for your own.", list_of=str)
@_option("seeds", "Seeds: 0,1,2 or 0..4.", list_of=seeds)
@_option("epochs", "Passes over the training images.", list_of=int)
@_option(
    "budget",
    "What is spent alike: epochs, decoder-passes (--epochs of one draw's), seconds.",
    list_of=str,
)
@_option("seconds", "Training time of each cell under --budget seconds.", type=float)
@_option("latent", "Latent dimensions; by default the data set's.", list_of=int)
@_option("backbone", "resnetv2, mlp, mlp-relu, or a plugin's; else the data set's.", list_of=str)
@_option("width", "Channels or units of the backbone.", list_of=int)
@_option("likelihood", "bernoulli, gaussian, laplace, logistic; gaussian[scale=0.1].", list_of=str)
@_option("binarise", "dynamic, fixed or none.", list_of=str)
@_option("critic", "patchgan, none, or both: patchgan,none.", list_of=str)
@_option("critic_weight", "Weight of the critic's term beside nats per image.", list_of=float)
@_option("batch_size", "Images in a training step.", list_of=int)
@_option("lr", "Adam's learning rate.", list_of=float)
@_option("lr_schedule", "constant, cosine, linear or burda.", list_of=str)
@_option("kl_warmup", "Epochs over which the KL weight grows to one.", list_of=int)
@_option("evaluate", "Evaluate the best validation epoch's weights, or the last ones.")
@_option(
    "metrics",
    "Metrics, groups of them, default or all; see `vaebench list --metrics`.",
    list_of=str,
)
@_option("extractor", "Feature network of FID and its kin; by default the data set's.")
@_option("ais_images", "Test images for AIS.")
@_option("ais_target", "Nats that AIS errors and BDMC gap shall stay below.", type=float)
@_option("ais_budget", "Decoder gradients for each image that AIS may spend.")
@_option("iw_samples", "K of the importance-weighted bound.")
@_option("iw_images", "Test images for that bound.")
@_option("image_size", "Side length in pixels that pictures are resized to.", list_of=int)
@click.option("--config", type=Path, help="Settings from a run's config.yaml; flags override it.")
@click.option("--out", type=Path, help="Folder of the run.  [default: results/<data set>-<hash>]")
@click.option(
    "--data-dir",
    type=Path,
    envvar="VAEBENCH_DATA",
    help="Data in torchvision's layout.  [default: $VAEBENCH_DATA, or data]",
)
@click.option("--download", is_flag=True, help="Fetch data and weights that are missing.")
@click.option("--fid-weights", type=Path, help="Weights of the Inception network.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps.  [default: auto]")
@click.option("--jobs", type=int, help="Cells at a time.  [default: one a core, one on a GPU]")
@click.option("--devices", type=int, default=1, help="Train each cell on so many.  [default: 1]")
@click.option("--strategy", default="auto", help="auto or ddp: batches divided among devices.")
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@click.option("--dry-run", is_flag=True, help="Print the cells and how long they may take.")
@click.option("--cell-timeout", type=float, help="Seconds after which a cell has failed.")
@click.option("--cell-memory", type=float, help="GiB of memory that a cell may have on the host.")
@click.option(
    "--checkpoint-every", type=float, default=60.0, help="Seconds of training.  [default: 60]"
)
@click.option("--engine", default="local", help="local or ray.  [default: local]")
@click.option("--address", help="Ray cluster to use; without it one is started here.")
@click.option("--gpus-per-cell", type=float, default=0.0, help="With Ray: 0.25 packs four a GPU.")
@click.option("--logger", default="", help="Trackers: tensorboard, wandb, mlflow; with commas.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the path of the report.")
@click.option("--json", "as_json", is_flag=True, help="Print the records of all cells as JSON.")
def run(config: Path | None, **options: Any) -> None:
    """Train and evaluate every variant, and write tables and report.

    \b
    vaebench run --plugins gaussian,'gmm[components=8]' --dataset digits --seeds 0,1,2
    """
    from vaebench.execution import driver

    given = {f.name: options.pop(f.name) for f in fields(Settings)}
    values, lines = read(config) if config else ({}, {})
    for name, value in given.items():
        if value is not None:
            values[name] = list(value) if isinstance(value, tuple) else value
            lines.pop(name, None)
    settings = from_dict(values, str(config or "the command line"), lines)
    sys.exit(driver.run(settings, driver.Where(**options)))
