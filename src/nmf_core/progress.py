"""A progress bar for the loop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(max_iter: int) -> Iterator[Callable[[Any], None]]:
    """A callback that shows iterations, objective and violation in a bar on standard error.

    Raises
    ------
    ImportError
        tqdm is not installed.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError('A progress bar needs tqdm: pip install "nmf-core[cli]"') from error
    with tqdm(total=max_iter, unit="it", desc="nmf") as bar:

        def show(state: Any) -> None:
            bar.set_postfix(objective=f"{state.objective:.5g}", violation=f"{state.violation:.1e}", refresh=False)
            bar.update(state.iteration - bar.n)

        yield show
