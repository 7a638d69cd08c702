"""What processes say: sentences with ids to stderr, as JSON or for people to read at home.

Never what somebody wrote, which is where others leaked it (medplum/medplum #8812): an exception is
logged by its type and where it came from, because its message may hold a value.
"""

import logging
import sys
import threading
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from followup.config import Settings
from followup.errors import FollowupError

#: How much of the way to an error is logged.
DEEPEST_PLACES = 12

#: One line a ring and a second would bury everything else; clients log addresses with their
#: queries, and numbers.
QUIET = (
    *("celery.beat", "celery.worker.strategy", "celery.app.trace"),
    *("httpx", "httpcore", "urllib3", "twilio", "asyncio", "mail.log"),
    *(
        "kombu",
        "amqp",
        "redis",
        "psycopg",
        "sqlalchemy",
        "alembic",
        "multipart",
        "python_multipart",
    ),
)

#: Their sentences have the exception's message in them, and a task's arguments.
_TASK_ERRORS = ("celery.app.trace", "celery.worker.request")

log = structlog.get_logger()

Event = MutableMapping[str, Any]


def configure_logging(settings: Settings) -> None:
    """For the whole process, uncaught errors included."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                _without_values,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # Python's own way of saying that a line could not be logged shows what was in it.
    logging.raiseExceptions = False
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _log_the_end
    threading.excepthook = lambda end: _log_the_end(end.exc_type, end.exc_value, end.exc_traceback)


def places_of(error: BaseException) -> list[str]:
    """Where it came from, without messages or values, which might hold what somebody wrote."""
    found = traceback.extract_tb(error.__traceback__)[-DEEPEST_PLACES:]
    return [f"{place.filename}:{place.lineno}" for place in found]


def _without_values(_logger: object, _method: str, event: Event) -> Event:
    """An exception becomes its type and its places; our own errors name no values."""
    error = _error_of(event.pop("exc_info", None))
    record: logging.LogRecord = event["_record"]
    if record.name in _TASK_ERRORS and record.levelno >= logging.ERROR:
        context = getattr(record, "data", None) or {}
        event["event"] = "a task failed"
        event["task"], event["task_id"] = context.get("name"), context.get("id")
    if error is not None:
        event["error"] = type(error).__name__
        event["places"] = places_of(error)
        if isinstance(error, FollowupError):
            event.setdefault("problem", str(error))
    event.pop("stack_info", None)
    return event


def _error_of(given: object) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple) and isinstance(given[1], BaseException):
        return given[1]
    return sys.exc_info()[1] if given else None


def _log_the_end(
    kind: type[BaseException], error: BaseException | None, _traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit) or error is None:
        return
    log.critical("ended by an error", exc_info=error)
