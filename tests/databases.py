"""Databases for single tests: empty ones, and copies of a template that has the schema."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url


class Databases(Protocol):
    """Makes and removes databases of one kind; `close` removes what is kept between tests."""

    def create(self, directory: Path, *, with_schema: bool) -> str: ...

    def drop(self, url: str) -> None: ...

    def close(self) -> None: ...


class SQLiteDatabases:
    """Files; each is the test's own, in its own directory."""

    def __init__(self, directory: Path, create_schema: Callable[[str], None]) -> None:
        self._template = directory / "template.db"
        self._create_schema = create_schema

    def create(self, directory: Path, *, with_schema: bool) -> str:
        path = directory / f"{uuid4().hex[:8]}.db"
        if with_schema:
            if not self._template.exists():
                self._create_schema(f"sqlite:///{self._template}")
            shutil.copy(self._template, path)
        return f"sqlite:///{path}"

    def drop(self, url: str) -> None:
        """The file goes with the test's directory."""

    def close(self) -> None:
        """The template goes with the directory that it was given."""


class PostgreSQLDatabases:
    """Databases of one server, made by an account that may create databases."""

    def __init__(
        self, url: str, create_schema: Callable[[str], None], *, strategy: str = "wal_log"
    ) -> None:
        """`strategy`: copying through the log is the faster way for a template as small as ours."""
        self._strategy = strategy
        self._url = make_url(url).set(drivername="postgresql")
        self._admin = psycopg.connect(self._render(self._url.database or ""), autocommit=True)
        self._create_schema = create_schema
        self._template: str | None = None

    def create(self, directory: Path, *, with_schema: bool) -> str:
        if not with_schema:
            return self._render(self._copy("template0"))
        if self._template is None:
            template = self._copy("template0")
            self._create_schema(self._render(template))
            self._template = template
        return self._render(self._copy(self._template))

    def drop(self, url: str) -> None:
        self._drop(make_url(url).database or "")

    def close(self) -> None:
        if self._template:
            self._drop(self._template)
        self._admin.close()

    def _copy(self, template: str) -> str:
        name = f"followup_test_{uuid4().hex}"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(name), sql.Identifier(template), sql.Identifier(self._strategy)
        )
        self._admin.execute(command)
        return name

    def _drop(self, name: str) -> None:
        command = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._admin.execute(command.format(sql.Identifier(name)))

    def _render(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)
