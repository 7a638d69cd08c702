"""The shipped clinic and a copy of its templates that a test may spoil."""

import shutil
from pathlib import Path

import pytest

from followup.clinic import Clinic, read_clinic

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shipped_clinic() -> Clinic:
    return read_clinic(_ROOT / "clinic.toml")


@pytest.fixture(scope="session")
def clinic(shipped_clinic: Clinic) -> Clinic:
    """Its two forms share one cadence, so that checking a folder takes half the time."""
    contact = shipped_clinic.get_form("contact")
    return shipped_clinic.model_copy(update={"forms": {"contact": contact, "screening": contact}})


@pytest.fixture(scope="session")
def shipped() -> Path:
    return _ROOT / "templates"


@pytest.fixture
def folder(shipped: Path, tmp_path: Path) -> Path:
    """With one cadence: see `clinic`."""
    without = shutil.ignore_patterns("screening", "pages")
    return Path(shutil.copytree(shipped, tmp_path / "templates", ignore=without))
