"""The scikit-learn face of the library.

It puts scikit-learn's own interfaces around the engine. The classes derive from scikit-learn's, so that parameter
checks, messages, tags, feature names and ``inverse_transform`` are scikit-learn's by construction; only the computation
is replaced. Nothing is computed here.
"""

from nmf_core.estimators.minibatch import MiniBatchNMF
from nmf_core.estimators.nmf import NMF, non_negative_factorization

__all__ = ["NMF", "MiniBatchNMF", "non_negative_factorization"]
