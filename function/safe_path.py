"""`python -m` puts the working folder first on the module path, and with it whatever lies there: `click.py`, say."""

import os
import sys
from pathlib import Path


def leave_out_working_folder() -> None:
    """Import nothing from the working folder, unless it is where this package itself is."""
    here = Path.cwd()
    ours = Path(__file__).resolve().parent.parent
    if here.resolve() != ours:
        sys.path[:] = [each for each in sys.path if each not in ("", os.fspath(here))]
