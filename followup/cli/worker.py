"""`followup worker`: consumes what came in, and sends what is due."""

from typing import Annotated

import typer
from celery.utils.nodenames import host_format

from followup.celery_settings import QUEUES
from followup.errors import Misconfigured
from followup.tasks import app as celery_app
from followup.tasks import warm_up

app = typer.Typer()


@app.command()
def worker(
    queues: Annotated[
        str, typer.Option(help="Comma-separated, of: " + ", ".join(QUEUES))
    ] = ",".join(QUEUES),
    pool: Annotated[str, typer.Option(help="prefork or threads")] = "prefork",
    concurrency: Annotated[int, typer.Option(min=1, help="Processes, or threads")] = 2,
    name: Annotated[str | None, typer.Option(help="Node name; must differ on one host")] = None,
) -> None:
    """Consume and send."""
    wanted = [queue.strip() for queue in queues.split(",")]
    unknown = [queue for queue in wanted if queue not in QUEUES]
    if unknown:
        raise Misconfigured(
            f"--queues: no such queue: {', '.join(unknown)}; known: {', '.join(QUEUES)}"
        )
    if pool not in ("prefork", "threads"):
        raise Misconfigured(f"--pool: expected prefork or threads, got {pool}")
    # Also before a fork: the children then share what is read here, and a wrong setting stops the
    # start.
    warm_up()
    node = name or ("all" if len(wanted) == len(QUEUES) else "-".join(wanted))
    # Not by Celery's own command line, which would import all of its other commands. Nobody listens
    # to what workers tell each other.
    made = celery_app.Worker(
        hostname=host_format(f"{node}@%h"),
        queues=wanted,
        pool=pool,
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="INFO",
    )
    made.start()
    raise typer.Exit(made.exitcode or 0)
