"""The commands about what is installed: list, check, new-plugin."""

import sys
from pathlib import Path

import click


@click.command("list")
@click.option("--metrics", is_flag=True, help="The metrics alone, each explained.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_(metrics: bool, as_json: bool) -> None:
    """Show what is installed: variants, data sets, backbones, feature extractors, metrics.

    \b
    vaebench list --json
    """
    from vaebench.cli import inventory

    found = inventory.collect()
    if metrics:
        found = {"metrics": found["metrics"]}
    if as_json:
        import json

        click.echo(json.dumps(found, indent=1))
    else:
        inventory.show(found)


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Examine variants: does the mathematics hold, law by law?

    Exit code 0 if every law holds or is declared broken, else 1.

    \b
    vaebench check gaussian 'gmm[components=8]'
    """
    from vaebench.cli import check as kit

    sys.exit(kit.check(names, as_json))


@click.command("new-plugin")
@click.argument("name")
@click.option("--out", type=Path, default=Path(), help="Where to put it.  [default: here]")
def new_plugin(name: str, out: Path) -> None:
    """Write a small installable package for a variant of your own.

    \b
    vaebench new-plugin student
    """
    from vaebench.cli import scaffold

    folder = scaffold.write(name, out)
    click.echo(f"{folder} is written. Next:")
    click.echo(f"cd {folder} && pip install -e '.[test]' && vaebench check {name}")
