"""Types of the arguments that are choices, so that editors offer them and type checkers find typing errors.

Each lists what a function of this package takes; a test compares it with what is there.
"""

from typing import Literal

LossName = Literal["frobenius", "kullback-leibler", "itakura-saito"]
SolverName = Literal[
    "auto",
    "hals",
    "cd",
    "newton",
    "mu",
    "mue",
    "greedy",
    "anls-bpp",
    "anls-as",
    "nesterov",
    "pg",
    "gd",
    "admm",
    "als",
    "sgd",
    "sequential",
    "randomized",
]
BatchSolverName = Literal["auto", "hals", "newton", "mu"]
RowSolverName = Literal["bpp", "fnnls", "cd", "pg", "nesterov"]
StartName = Literal["random", "random_vcol", "nndsvd", "nndsvda", "nndsvdar", "kmeans", "spa", "snpa", "best-of"]
Init = StartName | Literal["custom"]
Missing = Literal["nan", "unstored"]
AlphaScaling = Literal["size", "observed"]
Same = Literal["same"]
Auto = Literal["auto"]
Resample = Literal["poisson", "bootstrap", "subsample"]
RuleName = Literal["one-standard-error", "held-out", "stability", "cophenetic", "pac"]
HoldoutMethod = Literal["auto", "wold", "imputation", "bi-cv"]
Selection = Literal["likelihood"]
Ranking = Literal["distinctive", "weight", "lift"]
Scale = Literal["share", "unit", "max"]
Clustering = Literal["kmeans", "matching"]
Average = Literal["median", "mean"]
Schedule = Literal["bold", "inverse", "constant"]
FactorName = Literal["W", "H"]
Course = Literal["seconds", "iterations"]
LabelPlaces = Literal["auto", "both", "rows", "columns", "none"]
Duplicates = Literal["error", "sum", "mean", "first", "last"]
