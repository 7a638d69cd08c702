"""Names every place where a process may die: around each commit of the services.

The code under test knows nothing of this: SQLAlchemy's events say when, the stack says where.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

from sqlalchemy import event
from sqlalchemy.orm import Session

from followup import services

SERVICES = Path(services.__file__).parent
#: Where a session says whose act it commits, when a door owns the transaction.
ACT = "act"


@dataclass(frozen=True)
class Site:
    """One `with transaction(…)`: the lines from the first to the last of its block."""

    name: str
    path: str
    first: int
    last: int

    def holds(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename == self.path and self.first <= frame.f_lineno <= self.last


@cache
def sites() -> tuple[Site, ...]:
    """Every transaction of the services, as `settling.rescue`; `settling.reconcile 2` for the
    second one of a function."""
    found: list[Site] = []
    for path in sorted(SERVICES.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                blocks = sorted(filter(_begins_transaction, ast.walk(function)), key=_line)
                for number, block in enumerate(blocks, 1):
                    name = f"{path.stem}.{function.name}" + (f" {number}" if number > 1 else "")
                    last = getattr(block, "end_lineno", _line(block))
                    found.append(Site(name, str(path), _line(block), last))
    return tuple(found)


def acts() -> list[str]:
    """What staff do: the door owns the transaction, the service function takes its session."""
    return [
        f"{module}.{node.name}"
        for module in ("working", "uniting")
        for node in ast.parse((SERVICES / f"{module}.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def _begins_transaction(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call)
        and ast.unparse(item.context_expr.func).endswith("transaction")
        for item in node.items
    )


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _owner(session: Session) -> str | None:
    """Whose transaction a session commits; None when no service began it."""
    if ACT in session.info:
        return str(session.info[ACT])
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        for site in sites():
            if site.holds(frame):
                return site.name
        frame = frame.f_back
    return None


@contextmanager
def listening(reached: Callable[[str], None]) -> Iterator[None]:
    """Tell `reached` of each point that is passed: `intake.receive before commit`, `… after …`."""

    def before(session: Session) -> None:
        tell(session, "before")

    def after(session: Session) -> None:
        tell(session, "after")

    def tell(session: Session, when: str) -> None:
        # A savepoint's end is no commit.
        owner = None if session.in_nested_transaction() else _owner(session)
        if owner is not None:
            reached(f"{owner} {when} commit")

    event.listen(Session, "before_commit", before)
    event.listen(Session, "after_commit", after)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", before)
        event.remove(Session, "after_commit", after)
