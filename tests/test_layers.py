"""What the code must not contain, wherever it is. Which layer may import which is import-linter's.

Read from the syntax tree, so that a comment may name what is banned.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Folders in which `send` is a word of somebody else's protocol.
STRANGERS = {"sandbox", "transports"}
LONGEST_FILE_LINES = 400
#: A test file mirrors a code file, and a table of cases is long without being hard to read.
LONGEST_TEST_FILE_LINES = 650

#: The edges of the service, which may ask the clock; everything else is handed `now`.
ENTRY_POINTS = re.compile(r"followup/(clock|local|cli|broker|supervisor|processes|sandbox/.*)")

GRAB_BAGS = re.compile(
    r"(utils?|common|misc|helpers?|manager|handlers?|processor|.*_service|data|info)"
)

Banned = Callable[[ast.AST], bool]


def _is_called(node: ast.AST, *names: str) -> bool:
    """Whether a node calls something whose last names are these: `control.revoke` by `revoke`."""
    if not isinstance(node, ast.Call):
        return False
    dotted = ast.unparse(node.func)
    return any(dotted == name or dotted.endswith(f".{name}") for name in names)


def _takes(node: ast.AST, *keywords: str) -> bool:
    return isinstance(node, ast.Call) and any(each.arg in keywords for each in node.keywords)


def uses_the_brokers_schedule(node: ast.AST) -> bool:
    """A retry is a new `due_at`, a doorbell is rung now or not at all."""
    return (
        _takes(node, "eta", "countdown")
        or _is_called(node, "self.retry", "task.retry")
        or _is_called(node, "control.revoke", "app.revoke", "result.revoke")
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith(").revoke"))
    )


def uses_a_result_backend(node: ast.AST) -> bool:
    """Nobody waits for a task: the database says what became of the work."""
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node).endswith("AsyncResult")
    return isinstance(node, ast.Call) and any(
        each.arg in {"backend", "result_backend"} and ast.unparse(each.value) != "None"
        for each in node.keywords
    )


def asks_the_clock(node: ast.AST) -> bool:
    return _is_called(
        node, "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"
    )


def sleeps(node: ast.AST) -> bool:
    return _is_called(node, "sleep")


def schedules_at_the_provider(node: ast.AST) -> bool:
    """What waits at a provider cannot be assessed when it goes, nor cancelled for certain."""
    return _takes(node, "send_at", "schedule_type")


def hands_over_a_message(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".send")


def is_left_out_without_a_word(node: ast.AST) -> bool:
    """A whole file that skips itself would escape CI's demand that every test runs."""
    return _is_called(node, "importorskip") or _takes(node, "allow_module_level")


@pytest.mark.parametrize(
    ("banned", "code", "is_found"),
    [
        (uses_the_brokers_schedule, "task.apply_async(countdown=5)", True),
        (uses_the_brokers_schedule, "task.apply_async((), eta=then)", True),
        (uses_the_brokers_schedule, "self.retry(exc=error)", True),
        (uses_the_brokers_schedule, "app.control.revoke(task_id)", True),
        (uses_the_brokers_schedule, "AsyncResult(id).revoke()", True),
        (uses_the_brokers_schedule, "theta(beta=1)", False),
        (uses_the_brokers_schedule, "people.revoke(token)", False),
        (uses_the_brokers_schedule, "# eta=1 is banned", False),
        (uses_a_result_backend, "Celery(backend='redis://')", True),
        (uses_a_result_backend, "celery.result.AsyncResult", True),
        (uses_a_result_backend, "update(result_backend=None)", False),
        (asks_the_clock, "datetime.now(UTC)", True),
        (asks_the_clock, "datetime.datetime.utcnow()", True),
        (asks_the_clock, "clock.now()", False),
        (asks_the_clock, "time.monotonic()", False),
        (sleeps, "time.sleep(1)", True),
        (sleeps, "stopped.wait(1)", False),
        (schedules_at_the_provider, "messages.create(to=to, send_at=then)", True),
        (schedules_at_the_provider, "messages.create(to=to, body=body)", False),
        (hands_over_a_message, "transports[channel].send(message)", True),
        (hands_over_a_message, "sending.send_due(sender, lane, now)", False),
        (is_left_out_without_a_word, "pytest.importorskip('redis')", True),
        (is_left_out_without_a_word, "pytest.skip('no browser')", False),
    ],
)
def test_a_ban_finds_what_it_bans_and_no_more(banned: Banned, code: str, is_found: bool) -> None:
    assert any(map(banned, ast.walk(ast.parse(code)))) == is_found


def _sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _find(banned: Banned, sources: Iterator[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if banned(node)
    ]


@pytest.mark.parametrize("banned", [uses_the_brokers_schedule, uses_a_result_backend])
def test_celery_carries_doorbells_only(banned: Banned) -> None:
    assert _find(banned, _sources("followup")) == []


def test_nothing_is_scheduled_at_a_provider() -> None:
    assert _find(schedules_at_the_provider, _sources("followup")) == []


def test_messages_leave_by_one_path_and_the_operators_own_test() -> None:
    """Whether somebody may be written to is asked there, and would be asked nowhere else."""
    ours = (path for path in _sources("followup") if path.parent.name not in STRANGERS)
    files = {found.partition(":")[0] for found in _find(hands_over_a_message, ours)}

    assert files == {"followup/services/sending.py", "followup/cli/templates.py"}


def test_only_entry_points_ask_the_clock() -> None:
    found = _find(asks_the_clock, _sources("followup"))

    assert [place for place in found if not ENTRY_POINTS.match(place)] == []


@pytest.mark.parametrize("banned", [sleeps, is_left_out_without_a_word])
def test_tests_wait_for_conditions_and_do_not_leave_themselves_out(banned: Banned) -> None:
    assert _find(banned, _sources("tests")) == []


@pytest.mark.parametrize(
    ("folders", "longest"),
    [(("followup", "bench"), LONGEST_FILE_LINES), (("tests",), LONGEST_TEST_FILE_LINES)],
    ids=["code", "tests"],
)
def test_no_file_is_longer_than_one_can_keep_in_mind(
    folders: tuple[str, ...], longest: int
) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in _sources(*folders)
    }

    assert {path: n for path, n in lengths.items() if n > longest} == {}


def test_no_module_is_named_for_being_a_grab_bag() -> None:
    assert [path for path in _sources("followup") if GRAB_BAGS.fullmatch(path.stem)] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _sources("followup")
        if (tree := ast.parse(path.read_text(encoding="utf-8"))).body
        and ast.get_docstring(tree) is None
    ]

    assert silent == []
