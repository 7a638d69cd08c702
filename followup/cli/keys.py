"""`followup keys …`: which encryption keys are needed, and bringing everything under the first."""

from typing import Annotated

import typer

from followup.cli.opening import AsJson, open_store, print_json
from followup.services import rotating
from followup.services.rotating import KeyUse

app = typer.Typer(help="Rotate ENCRYPTION_KEYS without a stop.", no_args_is_help=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say which keys are still needed; exit status 1 while one besides the first is."""
    _tell(rotating.count_by_key(open_store().engine), as_json)


@app.command()
def rotate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; as `keys status`")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write anew, with the first key, what another key wrote. May be stopped and run again."""
    engine = open_store().engine
    renewed = 0 if check else rotating.rotate(engine)
    if not (check or as_json):
        typer.echo(f"fields written anew: {renewed}")
    _tell(rotating.count_by_key(engine), as_json)


def _tell(use: KeyUse, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "done": use.is_done,
                "needed": use.needed,
                "fields": {str(place + 1): use.fields.get(place, 0) for place in range(use.keys)},
                "unreadable": use.unreadable,
            }
        )
    else:
        typer.echo(in_words(use))
    if not use.is_done:
        raise typer.Exit(1)


def in_words(use: KeyUse) -> str:
    if use.unreadable:
        return (
            f"{use.unreadable} fields are read by no key of FOLLOWUP_ENCRYPTION_KEYS: put the key "
            "that wrote them back at the end of the list"
        )
    if use.old:
        numbers = ", ".join(map(str, use.needed))
        return (
            f"{use.old} fields still need key {numbers} of FOLLOWUP_ENCRYPTION_KEYS: "
            "run `followup keys rotate`"
        )
    if use.keys > 1:
        return "the first key reads everything: the others may leave FOLLOWUP_ENCRYPTION_KEYS"
    return "one key, and it reads everything"
