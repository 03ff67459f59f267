"""The command line."""

from vaebench.cli.app import main as main
