"""What all tests share."""

import signal
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest

# The default run takes about so many sets of parameters of a test, or one in SHARE; the others are slow.
MANY, SHARE = 8, 10

# A process started in the background ignores Ctrl-C, and so would all it starts; the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before tests are left out by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most parameters of tests that have many to the slow run; which ones, a hash of their names says."""
    quick = [item for item in items if item.get_closest_marker("slow") is None]
    tests = [item.nodeid.partition("[")[0] for item in quick]
    sets = Counter(tests)
    for item, test in zip(quick, tests, strict=True):
        n = sets[test]
        if crc32(item.nodeid.encode()) % n >= max(MANY, n // SHARE):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data sets kept beside the repository; a test that needs it is skipped elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data sets are not beside this repository")
    return folder
