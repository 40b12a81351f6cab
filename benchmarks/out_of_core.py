"""Fits of data outside of memory: how near to the rate at which a file can be read, and beside data in memory.

python -m benchmarks.out_of_core --file 20 --folder /tmp     a float32 file of 20 GB, deleted afterwards
python -m benchmarks.out_of_core --beside 2                  in memory, memory map and dask, 2 GB
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import nmf_core
from nmf_core.data.blocks import BLOCK_BYTES

FEATURES, RANK = 2048, 20


def generate(path, size):
    """A file of about so many bytes: a product of non-negative factors and noise, from a seed."""
    rng = np.random.default_rng(0)
    H = rng.gamma(1.0, size=(RANK, FEATURES)).astype(np.float32)
    noise = rng.random((4096, FEATURES), dtype=np.float32)
    rows = int(size) // (4 * FEATURES)
    with path.open("wb") as file:
        for first in range(0, rows, 4096):
            W = rng.gamma(0.5, size=(min(4096, rows - first), RANK)).astype(np.float32)
            (W @ H + noise[: len(W)]).tofile(file)
    return rows, FEATURES


def read_rate(path):
    """Bytes a second of reading the file from the first byte to the last, into a buffer of a block."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return path.stat().st_size / (time.perf_counter() - start)


def fit_rate(path, shape, iterations):
    """Bytes a second of the iterations of a fit after the first, and the peak of resident memory, in bytes."""
    X = np.memmap(path, np.float32, "r", shape=shape)
    result = nmf_core.factorize(X, RANK, init="random", random_state=0, tol=0, max_iter=iterations)
    seconds = np.diff(result.history.seconds)
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024
    return path.stat().st_size / float(np.median(seconds)), peak


def of_file(size, folder, iterations):
    """Print both rates in turns, and the memory."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "X"
        shape = generate(path, size)
        os.sync()
        print(f"{shape[0]} x {shape[1]} float32, {path.stat().st_size / 1e9:.1f} GB")
        for _ in range(3):
            read = read_rate(path)
            command = [sys.executable, "-m", "benchmarks.out_of_core", "--fit", str(path), *map(str, shape)]
            done = subprocess.run([*command, str(iterations)], check=True, capture_output=True, text=True)
            fit, peak = map(float, done.stdout.split())
            print(
                f"read {read / 1e9:.2f} GB/s, iterations {fit / 1e9:.2f} GB/s: {fit / read:.2f}; "
                f"peak {peak / 1e6:.0f} MB",
                flush=True,
            )


def beside(size, folder, repeats):
    """Print seconds per iteration in memory, of a memory map and of a dask array, in turns."""
    import dask.array as da

    from benchmarks.problems import problem

    X = problem("audio_fishin_large", "float32")
    X = np.tile(X, (max(1, int(size) // X.nbytes), 1))
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "X"
        X.tofile(path)
        kinds = {
            "memory": X,
            "memory map": np.memmap(path, X.dtype, "r", shape=X.shape),
            "dask": da.from_array(X, chunks=(max(1, (1 << 26) // X[0].nbytes), X.shape[1])),
        }
        seconds = {kind: [] for kind in kinds}
        for _ in range(repeats):
            for kind, data in kinds.items():
                result = nmf_core.factorize(data, RANK, init="random", random_state=0, tol=0, max_iter=8)
                seconds[kind].append(statistics.median(np.diff(result.history.seconds)))
    middle = {kind: statistics.median(values) for kind, values in seconds.items()}
    print(f"{X.shape[0]} x {X.shape[1]} {X.dtype}, {X.nbytes / 1e9:.1f} GB, k = {RANK}")
    for kind, value in middle.items():
        print(f"{kind:<12} {value * 1e3:8.1f} ms an iteration  {value / middle['memory']:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=float, metavar="GB")
    parser.add_argument("--beside", type=float, metavar="GB")
    parser.add_argument("--fit", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.fit:
        path, n, m, iterations = options.fit
        print(*fit_rate(Path(path), (int(n), int(m)), int(iterations)))
    if options.file:
        of_file(options.file * 1e9, options.folder, options.iterations)
    if options.beside:
        beside(options.beside * 1e9, options.folder, options.repeats)


if __name__ == "__main__":
    main()
