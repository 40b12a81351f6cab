"""Peak memory of a fit over the data it was given (Linux only)."""

import ctypes
import gc
import subprocess
import sys
from pathlib import Path

import nmf_core
from benchmarks.problems import problem


def _status(key):
    """A line of this process's status, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def growth(name, dtype, k, loss):
    """The most resident memory of this process during a fit less that before it, in bytes."""
    X = problem(name, dtype)
    missing = "unstored" if name == "planted_ratings" else None
    options = {"loss": loss, "missing": missing, "alpha_W": 0.003, "alpha_scaling": "observed"}
    nmf_core.factorize(X[:1000], min(k, 10), **options, max_iter=2, init="random")  # libraries and thread pools
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # give back what has been freed: it would serve the fit unseen
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    before = _status("VmRSS")
    nmf_core.factorize(X, k, **options, max_iter=20)
    return _status("VmHWM") - before


class Peak:
    """Bytes that a fit needs besides X, in a fresh process."""

    params = (
        ["planted", "planted_sparse", "planted_ratings", "words_tfidf", "debian_words", "pbmc3k", "audio_fishin_large"],
        ["float32", "float64"],
        [20, 50],
        ["frobenius", "kullback-leibler"],
    )
    param_names = ("problem", "dtype", "k", "loss")
    unit = "bytes"
    timeout = 600

    def setup(self, name, dtype, k, loss):
        if not Path("/proc/self/clear_refs").exists():
            raise NotImplementedError("needs Linux")
        problem(name, dtype)

    def track_peak_over_data(self, name, dtype, k, loss):
        command = [sys.executable, "-m", "benchmarks.memory", name, dtype, str(k), loss]
        root = Path(__file__).resolve().parents[1]
        return int(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=300).stdout)


if __name__ == "__main__":
    print(growth(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
