"""Benchmarks: asv imports this folder as a package, while `python benchmarks/compare.py` runs one file of it."""

import sys
from pathlib import Path

# The files import each other the same way in both cases.
sys.path.insert(0, str(Path(__file__).parent))
