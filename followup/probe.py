"""`python -m followup.probe NODE`: whether a worker or beat answers; exit status 0 or 1.

Health checks ask often and for every process, so this imports Celery and the settings alone.
"""

import sys

from celery import Celery
from kombu.exceptions import OperationalError

from followup.celery_settings import celery_settings
from followup.config import ENV_FILE, read_settings
from followup.errors import Misconfigured

#: Beat answers unless it has not rung for 15 s; a worker answers between two tasks.
PATIENCE_SECONDS = 5


def main(node: str) -> int:
    app = Celery("followup", set_as_current=False)
    try:
        app.conf.update(celery_settings(read_settings(ENV_FILE).checked("broker_url")))
        answers = app.control.ping(destination=[node], timeout=PATIENCE_SECONDS)
    except (Misconfigured, OperationalError, OSError) as error:
        print(f"followup: {error}", file=sys.stderr)
        return 1
    return 0 if answers else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else 2)
