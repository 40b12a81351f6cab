"""Build of the one compiled extension, ``nmf_core._core``; everything else is declared in pyproject.toml.

Environment variables read here:

NMF_CORE_OPENMP=0
    Build without OpenMP (one thread). Without it, a compiler that cannot do OpenMP is an error.
NMF_CORE_ABI3=0
    Build for the running Python version only, instead of for the stable ABI of CPython 3.11 and later.
NMF_CORE_DEBUG=1
    Check every index in the kernels and keep debugging symbols.
NMF_CORE_SANITIZE=1
    Compile with the address and undefined-behaviour sanitizers and keep debugging symbols.
"""

import os
import re
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

OPENMP = os.environ.get("NMF_CORE_OPENMP") != "0"
DEBUG = os.environ.get("NMF_CORE_DEBUG") == "1"
SANITIZE = os.environ.get("NMF_CORE_SANITIZE") == "1"
ABI3 = (
    os.environ.get("NMF_CORE_ABI3") != "0"
    and sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")  # free-threaded CPython has no stable ABI here
)

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "cdivision": True,
    "autotestdict": False,  # an unused __test__ that the stub would have to mention
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
}

# Of every build. Multiply-adds are fused, whatever the compiler does by default: where sums are rounded is part of what
# the kernels promise.
COMMON_FLAGS = ["-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"]
# -O2 with the vectorizer asked for by name: the -O3 of some gcc versions spills the kernels' accumulators.
RELEASE_FLAGS = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-g0"]
DEBUG_FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer"]
# Python's own flags make integers wrap; here an overflow is to be found. Checks of single pointers find little beside
# those of addresses; with them, with these in line or with names of variables, one minute of compilation becomes ten.
SANITIZE_FLAGS = [
    *DEBUG_FLAGS,
    "-g1",
    "-fno-wrapv",
    "-fno-sanitize=null,alignment,object-size,pointer-overflow",
    "-fno-sanitize-recover=undefined",
    "--param=asan-instrumentation-with-call-threshold=0",
]
SANITIZERS = ["-fsanitize=address,undefined"]

KERNELS = Path("src", "nmf_core", "_kernels")
# C sources that are compiled once for each precision and instruction-set level, and flags of their own: the short steps
# of losses gain by unrolling what products and steps of coordinate descent have unrolled where it pays.
UNITS = {"losses.c": ["-funroll-loops"], "products.c": []}
VARIANTS = [("NMF_DOUBLE", (0, 1)), ("NMF_LEVEL", (0, 1, 2))]
# What Cython translates: functions that are called from Python, mostly their arguments, where functions in line take
# time to compile and give nothing; and the steps, which are no module of their own.
GLUE_MACROS = [("CYTHON_INLINE", "__attribute__((unused))")]
ROWS_MACROS = [("CYTHON_NO_PYINIT_EXPORT", None)]
KERNEL_TEST = Path("tests", "kernels", "kernels.c")

# Written after a successful build, beside the generated C.
SETTINGS = Path("build", "cython", "settings.txt")

COMPILER_MISSING = """
nmf-core needs gcc 9 or later, or clang, on Linux or macOS: set CC to one of them.
"""

# Compile and link flags to try for OpenMP, in this order.
OPENMP_FLAGS = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
OPENMP_TRIAL = """
#include <omp.h>
int trial(void) {
    int total = 0;
    #pragma omp parallel reduction(+:total)
    total += omp_get_thread_num();
    return total;
}
"""
OPENMP_MISSING = """
The C compiler cannot build OpenMP programs, which nmf-core uses to run on several cores.
  Linux:  install gcc with its OpenMP library (Debian: gcc and libgomp1; clang: also libomp-dev).
  macOS:  brew install libomp, then set CPPFLAGS="-I$(brew --prefix libomp)/include"
          and LDFLAGS="-L$(brew --prefix libomp)/lib".
To build for one thread only, set NMF_CORE_OPENMP=0.
"""


class BuildCore(build_ext):
    """Choose the compiler flags by trial, translate the Cython source and compile it."""

    def build_extensions(self):
        """Build ``_core``, from the beginning if it was last built with other settings."""
        (core,) = self.extensions
        self.set_flags(core)
        settings = self.settings(core)
        if not SETTINGS.is_file() or SETTINGS.read_text() != settings:
            self.start_afresh()
        rows = Extension("nmf_core._rows", ["src/nmf_core/_rows.pyx"])
        translated = cythonize(
            [core, rows],
            compiler_directives=DIRECTIVES,
            build_dir=str(SETTINGS.parent),
            force=self.force,
            quiet=True,
        )
        # the longest first
        parts = zip(translated, (GLUE_MACROS, ROWS_MACROS), strict=True)
        jobs = [(part.sources[0], core.define_macros + macros, []) for part, macros in parts]
        core.extra_objects = self.compile_units(core, jobs + unit_jobs())
        core.sources = []
        super().build_extensions()
        SETTINGS.write_text(settings)

    def compile_units(self, core, jobs):
        """Compile (source, macros, flags) each, several at a time; the objects."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda job: self.compile_unit(core, *job), jobs))

    def compile_unit(self, core, source, macros, flags):
        """Compile one source file, unless its object is newer than all that it includes; the object."""
        variant = [value for macro, value in macros if macro in dict(VARIANTS)]
        folder = Path(self.build_temp, "-".join([Path(source).stem, *variant]))
        (target,) = self.compiler.object_filenames([source], output_dir=str(folder))
        newest = max(path.stat().st_mtime for path in included(Path(source)))
        if self.force or not Path(target).is_file() or Path(target).stat().st_mtime < newest:
            self.compiler.compile(
                [source],
                output_dir=str(folder),
                macros=macros,
                include_dirs=core.include_dirs,
                extra_postargs=core.extra_compile_args + flags,
            )
        return target

    def set_flags(self, core):
        """Give the extension the compile and link flags that this compiler accepts."""
        if not self.accepts('#include "simd.h"', [f"-I{KERNELS}", "-w"]):
            raise PlatformError(COMPILER_MISSING)
        wanted = COMMON_FLAGS + (SANITIZE_FLAGS if SANITIZE else DEBUG_FLAGS if DEBUG else RELEASE_FLAGS)
        core.extra_compile_args = [flag for flag in wanted if self.accepts("int trial;", [flag, "-Werror"])]
        if SANITIZE:
            core.extra_compile_args[:0] = SANITIZERS  # which some of the flags take back in part
            core.extra_link_args += SANITIZERS
        if OPENMP:
            for compile_args, link_args in OPENMP_FLAGS:
                if self.accepts(OPENMP_TRIAL, compile_args, link_args):
                    core.extra_compile_args += compile_args
                    core.extra_link_args += link_args
                    break
            else:
                raise PlatformError(OPENMP_MISSING)

    def accepts(self, source, compile_args, link_args=None):
        """Whether `source` compiles with these arguments and, if `link_args` are given, links."""
        with tempfile.TemporaryDirectory() as folder:
            trial = Path(folder, "trial.c")
            trial.write_text(source)
            try:
                objects = self.compiler.compile([str(trial)], output_dir=folder, extra_postargs=compile_args)
                if link_args is not None:
                    library = str(Path(folder, "trial.library"))
                    self.compiler.link_shared_object(objects, library, extra_postargs=link_args)
            except (CompileError, LinkError):
                return False
        return True

    def settings(self, core):
        """Return all that decides what a source file is turned into."""
        compiler = getattr(self.compiler, "compiler_so", self.compiler.compiler_type)
        arguments = [UNITS, GLUE_MACROS, ROWS_MACROS, core.define_macros, core.extra_compile_args, core.extra_link_args]
        return repr([Cython.__version__, DIRECTIVES, sys.version, compiler, *arguments])

    def start_afresh(self):
        """Translate and compile everything, and leave no older extension to be packed beside the new one.

        setuptools and Cython compare only file times: they would reuse what other settings produced.
        """
        self.force = True
        SETTINGS.unlink(missing_ok=True)
        for old in Path(self.build_lib, "nmf_core").glob("_core.*.so"):
            old.unlink()


class BuildKernelTest(BuildCore):
    """Link the C units to their own test, for whatever processor CC compiles: `kernel_test` in --build-temp."""

    def build_extensions(self):
        """Compile the units as for ``_core``, and the program."""
        (core,) = self.extensions
        self.set_flags(core)
        objects = self.compile_units(core, [*unit_jobs(), (str(KERNEL_TEST), [], [])])
        self.compiler.link_executable(
            objects, "kernel_test", self.build_temp, libraries=["m"], extra_postargs=core.extra_link_args
        )


def unit_jobs():
    """Return (source, macros, flags) of every C unit."""
    jobs = []
    for (name, flags), values in product(UNITS.items(), product(*(values for _, values in VARIANTS))):
        macros = [(macro, str(value)) for (macro, _), value in zip(VARIANTS, values, strict=True)]
        jobs.append((str(KERNELS / name), macros, [] if DEBUG or SANITIZE else flags))
    return jobs


def included(source):
    """A source file and the headers, beside it or of the kernels, that it includes, directly or not."""
    found = {source}
    for name in re.findall(r'^#include "(\w+\.h)"', source.read_text(), re.MULTILINE):
        for header in (source.parent / name, KERNELS / name):
            if header.is_file():
                found |= included(header)
    return found


setup(
    ext_modules=[
        Extension(
            "nmf_core._core",
            ["src/nmf_core/_core.pyx"],
            include_dirs=[str(KERNELS)],
            depends=sorted(path.as_posix() for path in KERNELS.iterdir()),
            define_macros=[("Py_LIMITED_API", "0x030B0000")] if ABI3 else [],
            py_limited_api=ABI3,
        )
    ],
    cmdclass={"build_ext": BuildCore, "build_kernel_test": BuildKernelTest},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
