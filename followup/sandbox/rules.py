"""Rules by address that a test lays down and that are used up, one after the other."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Rule = TypeVar("Rule")

#: Matches every address.
ANY = "*"


class Rules(Generic[Rule]):
    """For each address a queue. A rule with `times` serves so often and is then gone; one
    without serves until the rules are cleared. An address's own rules go before those of `*`."""

    def __init__(self) -> None:
        self._rules: dict[str, list[tuple[Rule, int | None]]] = {}
        self._lock = Lock()

    def add(self, address: str, rule: Rule, times: int | None = None) -> None:
        with self._lock:
            queue = self._rules.setdefault(address, [])
            # A standing rule is replaced by what comes later, or the later one never served.
            queue[:] = [earlier for earlier in queue if earlier[1] is not None]
            queue.append((rule, times))

    def take(self, address: str, suits: Callable[[Rule], bool] = lambda rule: True) -> Rule | None:
        """The first rule for that address that suits, counted down, or None."""
        with self._lock:
            for key in (address, ANY):
                queue = self._rules.get(key, [])
                for place, (rule, times) in enumerate(queue):
                    if suits(rule):
                        _count_down(queue, place, rule, times)
                        return rule
        return None

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()


def _count_down(
    queue: list[tuple[Rule, int | None]], place: int, rule: Rule, times: int | None
) -> None:
    if times is None:
        return
    if times > 1:
        queue[place] = (rule, times - 1)
    else:
        del queue[place]
