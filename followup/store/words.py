"""Enumerations as text columns, and the statuses that only the store knows."""

from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Dialect, String, literal_column
from sqlalchemy.types import TypeDecorator


class SubmissionStatus(StrEnum):
    #: Committed; waits to be consumed.
    accepted = "accepted"
    #: Normalised, merged and planned.
    consumed = "consumed"
    #: Could not be consumed; kept for staff and for `followup replay`.
    problem = "problem"
    #: Caught at the door; kept without a lead until staff release it.
    spam = "spam"


E = TypeVar("E", bound=StrEnum)


class Word(TypeDecorator[E]):
    """A StrEnum stored as its text: readable in SQL, and a new member needs no migration."""

    impl = String(32)
    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        return None if value is None else self.enum(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:
        return None if value is None else self.enum(value)


def said(word: E) -> ColumnElement[E]:
    """The word in the statement's own text, not as a value beside it: so a plan that is made once
    for any values still uses the index on the rows of that word."""
    return literal_column(f"'{word.value}'", Word(type(word)))
