"""The steps that improve rows of a factor: a part of `_core` that is translated and compiled by itself.

It is no module, nor ever initialised: C functions without Python, which `_core` calls. It is apart because what reads
the arguments of `_core`'s functions takes three times as long to compile, which a change of these loops thus spares.
"""
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

include "_kernels/products.pxi"
include "_kernels/job.pxi"
include "_kernels/hals.pxi"
include "_kernels/mu.pxi"
include "_kernels/gradient.pxi"
include "_kernels/greedy.pxi"
include "_kernels/solves.pxi"
include "_kernels/pivot.pxi"
include "_kernels/rows.pxi"


cdef public void nmf_improve_rows_f(const void* job, float* F, const float* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                                    float* scratch, double* report) noexcept nogil:
    improve_rows(<const Job*>job, F, cross, begin, n_rows, scratch, report)


cdef public void nmf_improve_rows_d(const void* job, double* F, const double* cross, Py_ssize_t begin,
                                    Py_ssize_t n_rows, double* scratch, double* report) noexcept nogil:
    improve_rows(<const Job*>job, F, cross, begin, n_rows, scratch, report)
