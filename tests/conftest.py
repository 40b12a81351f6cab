"""What all tests share."""

import gc
import signal
from pathlib import Path

import pytest
from covering import exhaustive

# A process started in the background ignores Ctrl-C, and so would all it starts; the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart() -> None:
    """Thousands of tests live to the end: garbage is looked for after they have been made, and never among them."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)  # before tests are left out by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what the default run leaves out of the products of parameters; of slow tests CI runs all."""
    for item in exhaustive(item for item in items if not any(map(item.get_closest_marker, ("slow", "exhaustive")))):
        item.add_marker(pytest.mark.exhaustive)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data sets kept beside the repository; a test that needs it is skipped elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data sets are not beside this repository")
    return folder
