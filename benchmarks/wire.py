"""Bytes that a fit on a Dask cluster moves in an iteration, counted at the loopback interface (Linux only).

python -m benchmarks.wire                1, 2 and 4 workers, several sizes
"""

import argparse
from pathlib import Path

import nmf_core

SIZES = [(20_000, 500, 10), (40_000, 500, 10), (20_000, 1000, 10), (20_000, 500, 20), (20_000, 2000, 40)]


def moved():
    """Bytes that have gone through the loopback interface so far."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split()[1])


def per_iteration(n, m, k, loss):
    """Bytes an iteration: those of a long fit less those of a short one."""
    import dask.array as da

    X = da.random.default_rng(0).random((n, m), chunks=(n // 8, m)).persist()
    totals = {}
    for iterations in (5, 45):
        before = moved()
        nmf_core.factorize(X, k, loss=loss, init="random", random_state=0, tol=0, max_iter=iterations)
        totals[iterations] = moved() - before
    return (totals[45] - totals[5]) / 40


def main():
    import dask
    from distributed import Client, LocalCluster

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", default="frobenius")
    loss = parser.parse_args().loss
    dask.config.set({"distributed.admin.system-monitor.interval": "10s", "distributed.scheduler.idle-timeout": None})
    print(f"{loss}, float64; a message is G or S: m x k numbers")
    print(f"{'workers':>7} {'n':>7} {'m':>6} {'k':>4} {'bytes an iteration':>20} {'in messages':>12}")
    for workers in (1, 2, 4):
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            for n, m, k in SIZES:
                found = per_iteration(n, m, k, loss)
                ld = -(-k // 4) * 4
                print(f"{workers:>7} {n:>7} {m:>6} {k:>4} {found:>20.0f} {found / (8 * m * ld):>12.2f}", flush=True)


if __name__ == "__main__":
    main()
