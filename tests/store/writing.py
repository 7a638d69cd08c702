"""What a process of its own does in the tests of several processes on one database."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from followup.store.db import make_engine, transaction
from followup.store.migrating import migrate
from tests.parallel import PATIENCE_SECONDS, together
from tests.schema import KEYRING
from tests.store.rows import add_lead

#: Leads that each thread writes, each in a transaction of its own.
EACH = 15


def here_and_in_a_process(target: Callable[..., None], *arguments: object) -> None:
    """Run the target here and in another process at once; both must end well."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    process = context.Process(target=_after, args=(start, target, arguments))
    process.start()
    _after(start, target, arguments)
    process.join()
    assert process.exitcode == 0


def _after(start: Barrier, target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    start.wait(PATIENCE_SECONDS)
    target(*arguments)


def migrate_database(url: str) -> None:
    engine = make_engine(url, KEYRING)
    migrate(engine)
    engine.dispose()


def write_leads(url: str, threads: int) -> None:
    engine = make_engine(url, KEYRING)

    def write() -> None:
        for _ in range(EACH):
            with transaction(engine) as session:
                add_lead(session)

    together(*[write] * threads)
    engine.dispose()
