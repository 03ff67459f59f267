"""`python -m vaebench`."""

from vaebench.cli.app import main

main(prog_name="vaebench")
