# distutils: language=c
"""The compiled kernels of nmf_core.

Every loop that touches data is here; decisions are made in Python. Kernels check nothing and allocate nothing:
arrays that are written come first, then arrays that are read, scalars, and last the `Workspace`.
Factors are C-contiguous (rows, ld) arrays; columns beyond the k components that `gram` has are zeros that fill a row
up to whole vectors. Sources, by what they hold:

products  products of matrices, dense and CSR, for all instruction-set levels (C)
rows      the frame in which a solver's step improves a block of rows, and with it, in _rows.pyx, translated by itself:
hals, mu, greedy, gradient, solves, pivot  the steps
job       the arguments of the steps and of the passes
beta      multiplicative updates for beta-divergences
pass      one pass over X: improvement of one factor, statistics for the other
batch     passes for several pairs of factors at once
divergence  divergences, and sums and Gram matrices of factors, in double
newton    coordinate steps for the Kullback-Leibler divergence, row by row (C, and which thread takes which rows)
observed  steps of rows of which only some entries are known, or count more than others (C for those of HALS)
parts     of singular vectors, from which starts are made
nnls      exact non-negative least squares, many right-hand sides
recommend  the largest entries of a model's rows
scan      extremes, sums and order of the entries of X, before a fit
"""
cimport cython
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    static const int nmf_openmp = _OPENMP;
    static int nmf_max_threads(void) { return omp_get_max_threads(); }
    #else
    static const int nmf_openmp = 0;
    static int nmf_max_threads(void) { return 1; }
    #endif
    """
    const int nmf_openmp
    int nmf_max_threads()

include "_kernels/products.pxi"
include "_kernels/job.pxi"

cdef enum:
    THREAD_WORK = 1 << 20  # multiply-adds that are worth waking a thread for

LEVELS = ("plain", "avx2", "avx512")
METHODS = {
    "hals": HALS, "mu": MU, "greedy": GREEDY, "als": ALS, "pg": PG, "gd": GD, "nesterov": NESTEROV, "admm": ADMM,
    "bpp": BPP, "as": AS,
}
REPORT_SIZE = REPORT
PIVOT_RULES = {"bpp": BLOCK, "as": ACTIVE}
OPENMP = nmf_openmp


def best_level():
    """The highest instruction-set level that this processor has: 0 plain, 1 AVX2 + FMA, 2 AVX-512."""
    return nmf_best_level()


def max_threads():
    """What OpenMP would use by itself: ``OMP_NUM_THREADS``, or a limit set since; 1 without OpenMP."""
    return nmf_max_threads()


@cython.auto_pickle(False)
cdef class Workspace:
    """Threads of a kernel, their instruction set and their scratch memory.

    Parameters
    ----------
    n_threads : int
        Threads of every kernel that gets this workspace. They come from the process's one OpenMP pool.
    level : int, optional
        Instruction-set level, at most `best_level()`, which is the default.

    Notes
    -----
    The scratch memory grows to what the largest call needs and is kept until the workspace is gone, so that kernels
    allocate nothing in a loop. One workspace serves one caller at a time: a second call, from another Python thread,
    would write into the memory of the first, or free it. So every fit has a workspace of its own.
    """
    cdef readonly int n_threads
    cdef readonly int level
    cdef char* memory
    cdef char* aligned
    cdef size_t size

    def __init__(self, int n_threads=1, level=None):
        best = nmf_best_level()
        if level is not None and not 0 <= level <= best:
            raise ValueError(f"level must be between 0 and {best} on this processor, got {level}.")
        self.n_threads = max(1, n_threads) if nmf_openmp else 1
        self.level = best if level is None else level

    def __dealloc__(self):
        free(self.memory)

    cdef int threads_for(self, double work) noexcept nogil:
        """The threads that so many multiply-adds are worth, at least one. A double holds any product of sizes."""
        return <int>min(<double>self.n_threads, 1 + work / THREAD_WORK)

    cdef char* reserve(self, size_t size) except NULL:
        """At least `size` bytes, aligned to a cache line; their contents are undefined."""
        if size > self.size or self.aligned == NULL:
            free(self.memory)
            self.memory = self.aligned = NULL
            self.size = 0
            self.memory = <char*>malloc(size + 64)
            if self.memory == NULL:
                raise MemoryError(f"no {size} bytes of scratch memory")
            self.aligned = self.memory + (64 - <uintptr_t>self.memory % 64)
            self.size = size
        return self.aligned


include "_kernels/beta.pxi"
include "_kernels/pass.pxi"
include "_kernels/batch.pxi"
include "_kernels/newton.pxi"
include "_kernels/observed.pxi"
include "_kernels/parts.pxi"
include "_kernels/nnls.pxi"
include "_kernels/divergence.pxi"
include "_kernels/recommend.pxi"
include "_kernels/scan.pxi"
