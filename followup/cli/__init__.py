"""The command line. Exit status: 0 done, 1 the answer is no, 2 wrong usage or settings."""

import gc
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from followup.config import PREFIX
from followup.errors import FollowupError, Invalid, Misconfigured

#: Where each command, or group of commands, is. It is imported when it is called: a process then
#: holds, and waits at its start for, what its own command needs, and beat nothing of the web.
PLACES = {
    "up": "up:app",
    "api": "api:app",
    "worker": "worker:app",
    "beat": "beat:app",
    "sandbox": "sandbox:app",
    "migrate": "migrate:app",
    "doctor": "doctor:app",
    "submit": "submissions:app",
    "import": "importing:app",
    "replay": "submissions:app",
    "simulate": "submissions:app",
    "erase": "people:app",
    "export": "people:app",
    "keys": "keys:app",
    "leads": "leads:app",
    "submissions": "submissions:caught",
    "staff": "staff:app",
    "templates": "templates:app",
    "audit": "audit:app",
    "webhooks": "webhooks:app",
}


class Commands(TyperGroup):
    """The commands of `PLACES`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in PLACES:
            return None
        module, _, name = PLACES[cmd_name].partition(":")
        imported = import_module(f"{__name__}.{module}")
        if not gc.isenabled():
            # Off since the start, see `__main__.py`. What stays for ever is not looked at again.
            gc.freeze()
            gc.enable()
        group = typer.main.get_group(getattr(imported, name))
        command = group.commands.get(cmd_name, group)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="followup",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def followup() -> None:
    """Acknowledges submissions, and reminds staff until a person has called."""


def main() -> None:
    """Run one command; our own errors are one line on standard error."""
    try:
        # Started as a module, it would call itself "python -m followup".
        app(prog_name="followup")
    except FollowupError as error:
        print(f"followup: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Invalid | Misconfigured) else 1)
    except Exception as error:
        if (cause := _trouble_with_database(error)) is None:
            raise
        print(
            f"followup: {PREFIX}DATABASE_URL: cannot use the database: {cause}; "
            "`followup doctor` tells more",
            file=sys.stderr,
        )
        sys.exit(2)


def _trouble_with_database(error: Exception) -> str | None:
    """What the database said, when it was the database: only then is its library there already."""
    library = sys.modules.get("sqlalchemy.exc")
    if library is None or not isinstance(
        error, library.OperationalError | library.ProgrammingError
    ):
        return None
    cause: str = import_module("followup.store.db").cause_of(error)
    return cause
