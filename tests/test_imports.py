"""What a process holds, and waits for at its start: the modules of its own command alone."""

import json
import subprocess
import sys

#: From the smallest to the largest, in one process: what one imports, the next may.
STRANGERS = {
    "up": {"holidays", "redis", "kombu", "sqlalchemy"},
    "sandbox": {"kombu", "sqlalchemy"},
    "beat": {"sqlalchemy", "followup.tasks"},
    "worker": {"fastapi", "alembic", "celery.bin"},
    "api": {"alembic", "celery.bin"},
}
IMPORTS = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(f"followup.cli.{name}")
    print(json.dumps([name, list(sys.modules)]))
"""


def test_a_command_imports_nothing_of_the_others() -> None:
    command = (sys.executable, "-c", IMPORTS, json.dumps(list(STRANGERS)))
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    imported = dict(map(json.loads, done.stdout.splitlines()))
    found = {name: strangers & set(imported[name]) for name, strangers in STRANGERS.items()}
    assert found == {name: set() for name in STRANGERS}
