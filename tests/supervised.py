"""A program that supervises the plan of a JSON file, for tests that signal or kill it."""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from followup.supervisor import Child, Supervisor


def say(line: str) -> None:
    print(line, flush=True)


def main(plan_file: str) -> None:
    given = json.loads(Path(plan_file).read_text())
    plan = [
        Child(name, command, os.environ, stop_stage=stage)
        for name, (command, stage) in given["children"].items()
    ]
    supervisor = Supervisor(plan, say=say, grace=timedelta(seconds=given["grace_seconds"]))
    supervisor.run(is_up=lambda: True, when_up=lambda: say("all started"))


if __name__ == "__main__":
    main(sys.argv[1])
