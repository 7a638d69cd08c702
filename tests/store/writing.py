"""What a process of its own does in the tests of several processes on one database."""

import multiprocessing
from collections.abc import Callable

from followup.store.db import make_engine, migrate, transaction
from tests.parallel import together
from tests.schema import KEYRING
from tests.store.rows import add_lead

#: Leads that each thread writes, each in a transaction of its own.
EACH = 15


def in_processes(count: int, target: Callable[..., None], *arguments: object) -> None:
    """Run the target in that many processes at once; each must end well."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count


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
