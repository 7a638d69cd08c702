"""`python -m bench`: runs the rows, prints the table, and exits 1 when a goal is missed."""

import argparse
import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, rows, table
from bench.databases import Databases, postgresql_version
from bench.figures import Line
from bench.seed import MILLION, OWED_EACH
from bench.stage import Stage

#: Rounds of a row unless the command line says otherwise.
ROUNDS = 5


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    if options.list:
        print(table.describe_rows([rows.load(name).ROW for name in rows.NAMES]))
        return 0
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="followup-bench-") as folder,
        Databases(Path(folder)) as databases,
    ):
        for name in options.names or rows.NAMES:
            result = _measure(name, databases, options)
            results.append(result)
            print(table.show(result), file=sys.stderr, flush=True)
    where = f"{machine.describe()}, {postgresql_version()}"
    heading = table.Heading(datetime.now(UTC), where, machine.commit())
    if options.json:
        print(json.dumps(table.as_data(heading, results), indent=2))
    else:
        print(table.render(heading, results))
    if options.write:
        table.write(Path("docs/performance.md"), heading, results)
    return 0 if all(result.is_reached for result in results) else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="rows to run; all of them when none is named"
    )
    parser.add_argument("--list", action="store_true", help="say what rows there are")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each row ({ROUNDS})")
    parser.add_argument(
        "--planned",
        dest="crowd",
        type=lambda text: replace(MILLION, open=int(text) // OWED_EACH),
        default=MILLION,
        help="reminders, where a row is about 1,000,000; fewer to try it",
    )
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/performance.md"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="have py-spy write there where ours spends its time, in collapsed stacks",
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(rows.NAMES)):
        parser.error(f"no such row: {', '.join(unknown)}; known: {', '.join(rows.NAMES)}")
    if options.rounds < 1:
        parser.error("--rounds: expected at least 1")
    return options


def _measure(name: str, databases: Databases, options: argparse.Namespace) -> table.Result:
    """A row that fails leaves the others their turn."""
    module, began = rows.load(name), time.monotonic()
    lines: Sequence[Line] = ()
    problem = ""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="followup-bench-") as folder,
            Stage(
                Path(folder),
                databases,
                rounds=options.rounds,
                crowd=options.crowd,
                profile=options.profile,
            ) as stage,
        ):
            lines = module.measure(stage)
    except Exception as error:
        traceback.print_exc()
        problem = f"failed: {type(error).__name__}"
    return table.Result(module.ROW, lines, time.monotonic() - began, problem)


if __name__ == "__main__":
    # What was started ends then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
