"""TRL, or one clear reason for its absence."""

import importlib
import importlib.metadata
from types import ModuleType

import pytest
from stand_ins import no_peer


def pytest_report_header() -> str:
    try:
        return f"parity with trl {importlib.metadata.version('trl')}"
    except importlib.metadata.PackageNotFoundError:
        return "parity: trl is not installed"


@pytest.fixture(scope="session")
def trl() -> ModuleType:
    """TRL; skips without it, or fails where $REQUIRE_PARITY says that it must be there."""
    try:
        return importlib.import_module("trl")
    except ImportError as error:
        no_peer(f"TRL lives in an environment of its own: `make parity` ({error})")
