"""`python -m followup` is the command line."""

import gc
import sys

# Nothing of what is imported is garbage, and looking for it would be a tenth of the start.
gc.disable()
# structlog loads it to draw tracebacks, and we show none (see `logs.py`): each process would hold
# 6 MB for that. The command line's help still has it.
sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402, F401

del sys.modules["rich"]

from followup.cli import main  # noqa: E402

main()
