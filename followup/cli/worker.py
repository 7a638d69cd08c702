"""`followup worker`: consumes what came in, and sends what is due."""

from typing import Annotated

import typer
from celery import signals
from celery.utils.nodenames import host_format

from followup.beat import ring_beside_worker
from followup.celery_settings import BEAT_QUEUE, QUEUES
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
    beat: Annotated[
        bool, typer.Option("--beat", help="Ring by the clock too; with threads only")
    ] = False,
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
    if beat and pool != "threads":
        raise Misconfigured("--beat: with --pool threads only; else run `followup beat` beside it")
    # Also before a fork: the children then share what is read here, and a wrong setting stops the
    # start.
    warm_up()
    node = name or ("all" if len(wanted) == len(QUEUES) else "-".join(wanted))
    # Not by Celery's own command line, which would import all of its other commands. Nobody listens
    # to what workers tell each other.
    made = celery_app.Worker(
        hostname=host_format(f"{node}@%h"),
        queues=[*wanted, *([BEAT_QUEUE] if set(wanted) != {"upkeep"} else [])],
        pool=pool,
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="INFO",
    )
    if beat:
        signals.worker_ready.connect(lambda **_: ring_beside_worker(), weak=False)
    made.start()
    raise typer.Exit(made.exitcode or 0)
