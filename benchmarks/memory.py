"""Peak memory of a fit over the data it was given."""

import multiprocessing
import resource

from problems import problem

import nmf_core


def _growth(name, dtype, k, connection):
    """Peak resident memory of this process after a fit less that before it, in bytes."""
    X = problem(name, dtype)
    nmf_core.factorize(X[:100], min(k, 10), max_iter=2, init="random")  # libraries, pools and first pages
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    nmf_core.factorize(X, k, max_iter=20)
    connection.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


class Peak:
    """Bytes that a fit needs besides X, in a fresh process."""

    params = (
        ["planted", "planted_sparse", "words_tfidf", "audio_fishin_large"],
        ["float32", "float64"],
        [20, 50],
    )
    param_names = ("problem", "dtype", "k")
    unit = "bytes"
    timeout = 600

    def setup(self, name, dtype, k):
        problem(name, dtype)

    def track_peak_over_data(self, name, dtype, k):
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_growth, args=(name, dtype, k, there))
        process.start()
        growth = here.recv()
        process.join()
        return growth
