"""Keeps what Python compiles: doing so anew takes longer than all else of a program's start."""

import os
import sys
from pathlib import Path

#: What this process says to those that it starts with an environment of their own making.
NAMES = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


def keep(folder: Path) -> None:
    """Here and in every process that is started from here, whatever the user's own settings say;
    nothing is written beside the modules."""
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(folder)
    # Empty is as good as not set.
    os.environ.update(zip(NAMES, ("", str(folder)), strict=True))
