"""`python -m vaebench`."""

import os
import sys
from contextlib import suppress

# Modules of the working directory are found after all others, not instead of them.
with suppress(OSError):
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        sys.path.append(sys.path.pop(0))

from vaebench.cli import main

main(prog_name="vaebench")
