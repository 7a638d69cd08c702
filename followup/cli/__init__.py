"""The command line. Exit status: 0 done, 1 the answer is no, 2 wrong usage or settings."""

import sys

import typer
from sqlalchemy.exc import OperationalError, ProgrammingError

from followup.cli import audit, keys, leads, people, processes, staff, submissions, templates
from followup.config import PREFIX
from followup.errors import FollowupError, Invalid, Misconfigured
from followup.store.db import cause_of

app = typer.Typer(
    name="followup",
    help="Acknowledges submissions, and reminds staff until a person has called.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (processes.app, submissions.app, people.app):
    app.registered_commands += group.registered_commands
app.add_typer(keys.app, name="keys")
app.add_typer(leads.app, name="leads")
app.add_typer(submissions.caught, name="submissions")
app.add_typer(staff.app, name="staff")
app.add_typer(templates.app, name="templates")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run one command; our own errors are one line on standard error."""
    try:
        app()
    except FollowupError as error:
        print(f"followup: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Invalid | Misconfigured) else 1)
    except (OperationalError, ProgrammingError) as error:
        print(
            f"followup: {PREFIX}DATABASE_URL: cannot use the database: {cause_of(error)}; "
            "`followup doctor` tells more",
            file=sys.stderr,
        )
        sys.exit(2)
