"""The clinic's day on SQLite and on PostgreSQL, and the whole service as it is started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from followup.bootstrap import Service, open_service
from tests.journeys.clinic_day import SETTINGS, ClinicDay, clinic_day
from tests.journeys.whole_service import Start, WholeService


@pytest.fixture(scope="session")
def _read_service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The clinic, cadences and pages, read once; each day's own has another engine and clock."""
    empty = tmp_path_factory.mktemp("journeys") / "empty.db"
    return open_service(SETTINGS.model_copy(update={"database_url": f"sqlite:///{empty}"}))


@pytest.fixture
def day(_read_service: Service, database_url: str) -> Iterator[ClinicDay]:
    with clinic_day(_read_service, database_url) as day:
        yield day


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `followup up` with these options and settings; it ends with the test."""
    started: list[WholeService] = []

    def start_one(*options: str, **settings: str) -> WholeService:
        service = WholeService(tmp_path, *options, **settings)
        started.append(service)
        service.await_announcement()
        return service

    yield start_one
    for service in started:
        service.end()
