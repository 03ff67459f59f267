"""The commands about what is installed: list, check, new-plugin."""

import sys
from pathlib import Path

import click

from vaebench.cli import completion

#: What `vaebench list KIND` explains, and where the inventory has it.
_KINDS = {"variants": "plugins"} | {
    kind: kind
    for kind in ("datasets", "backbones", "likelihoods", "samplers", "features", "metrics")
}


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(_KINDS)))
@click.option("--metrics", is_flag=True, help="As `list metrics`.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_(kind: str | None, metrics: bool, as_json: bool) -> None:
    """Show what is installed by name, or explain what is of a kind.

    \b
    vaebench list
    vaebench list variants
    vaebench list metrics --json
    """
    from vaebench.cli import inventory

    kind = kind or ("metrics" if metrics else None)
    found = inventory.collect()
    completion.keep(found)
    if kind:
        found = {_KINDS[kind]: found[_KINDS[kind]]}
    if as_json:
        import json

        click.echo(json.dumps(found, indent=1))
    elif kind:
        inventory.show(found)
    else:
        inventory.names(found)


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.names("plugin"))
@click.option("--figures", is_flag=True, help="All figures of the laws that are broken.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(names: tuple[str, ...], figures: bool, as_json: bool) -> None:
    """Examine variants: does the mathematics hold, law by law?

    Exit code 0 if every law holds or is declared broken, else 1.

    \b
    vaebench check gaussian 'gmm[components=8]'
    """
    from vaebench.cli import check as kit

    sys.exit(kit.check(names, as_json, figures))


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
