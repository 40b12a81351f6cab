"""What all tests share."""

import signal
from pathlib import Path

import pytest

# A process started in the background ignores Ctrl-C, and so would all it starts; the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data sets kept beside the repository; a test that needs it is skipped elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data sets are not beside this repository")
    return folder
