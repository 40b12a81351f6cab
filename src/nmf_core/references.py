"""What is cited: publications, and which of them belong to which solver, loss and start."""

from typing import NamedTuple


class Reference(NamedTuple):
    """A publication, or a program.

    Attributes
    ----------
    kind : str
        Type of its BibTeX entry.
    authors : str
        As in BibTeX: "Lee, D. D. and Seung, H. S.", or "Islam, S. M. A. and others".
    title, venue : str
        As in BibTeX, with braces around what must keep its capitals.
    year : int
    doi : str
        Empty if there is none.
    """

    kind: str
    authors: str
    title: str
    venue: str
    year: int
    doi: str = ""

    @property
    def label(self) -> str:
        """How it is cited in a text, such as "Lee and Seung, 1999"."""
        names = [author.partition(",")[0].strip("{}") for author in self.authors.split(" and ")]
        who = f"{names[0]} et al." if len(names) > 2 or names[-1] == "others" else " and ".join(names)
        return f"{who}, {self.year}"


_NECO, _SISC = "Neural Computation", "SIAM Journal on Scientific Computing"
_TSP, _PAMI = "IEEE Transactions on Signal Processing", "IEEE Transactions on Pattern Analysis and Machine Intelligence"
_KDD = "Proceedings of the 17th {ACM} {SIGKDD} International Conference on Knowledge Discovery and Data Mining"
_SCIKIT_LEARN = (
    "Pedregosa, F. and Varoquaux, G. and Gramfort, A. and Michel, V. and Thirion, B. and Grisel, O. and Blondel, M. "
    "and Prettenhofer, P. and Weiss, R. and Dubourg, V. and Vanderplas, J. and Passos, A. and Cournapeau, D. and "
    "Brucher, M. and Perrot, M. and Duchesnay, E."
)

# What can be cited, by key. A DOI stands here only if it is known for certain.
REFERENCES: dict[str, Reference] = {
    "nmf_core": Reference(
        "software", "{nmf-core developers}",
        "{nmf-core}: Fast non-negative matrix factorization for dense and sparse data", "", 2026),
    # the model and its losses
    "paatero1994": Reference(
        "article", "Paatero, P. and Tapper, U.",
        "Positive matrix factorization: A non-negative factor model with optimal utilization of error estimates of "
        "data values", "Environmetrics", 1994, "10.1002/env.3170050203"),
    "lee1999": Reference(
        "article", "Lee, D. D. and Seung, H. S.",
        "Learning the parts of objects by non-negative matrix factorization", "Nature", 1999, "10.1038/44565"),
    "lee2001": Reference(
        "inproceedings", "Lee, D. D. and Seung, H. S.", "Algorithms for non-negative matrix factorization",
        "Advances in Neural Information Processing Systems 13", 2001),
    "fevotte2009": Reference(
        "article", "Févotte, C. and Bertin, N. and Durrieu, J.-L.",
        "Nonnegative matrix factorization with the {Itakura-Saito} divergence: With application to music analysis",
        _NECO, 2009, "10.1162/neco.2008.04-08-771"),
    "fevotte2011": Reference(
        "article", "Févotte, C. and Idier, J.",
        "Algorithms for nonnegative matrix factorization with the beta-divergence", _NECO, 2011,
        "10.1162/NECO_a_00168"),
    "zhou2008": Reference(
        "inproceedings", "Zhou, Y. and Wilkinson, D. and Schreiber, R. and Pan, R.",
        "Large-scale parallel collaborative filtering for the {Netflix} prize",
        "Algorithmic Aspects in Information and Management", 2008, "10.1007/978-3-540-68880-8_32"),
    # solvers
    "cichocki2009": Reference(
        "article", "Cichocki, A. and Phan, A.-H.",
        "Fast local algorithms for large scale nonnegative matrix and tensor factorizations",
        "{IEICE} Transactions on Fundamentals of Electronics, Communications and Computer Sciences", 2009,
        "10.1587/transfun.E92.A.708"),
    "hsieh2011": Reference(
        "inproceedings", "Hsieh, C.-J. and Dhillon, I. S.",
        "Fast coordinate descent methods with variable selection for non-negative matrix factorization", _KDD, 2011,
        "10.1145/2020408.2020577"),
    "hien2021": Reference(
        "article", "Hien, L. T. K. and Gillis, N.",
        "Algorithms for nonnegative matrix factorization with the {Kullback-Leibler} divergence",
        "Journal of Scientific Computing", 2021, "10.1007/s10915-021-01504-0"),
    "hien2024": Reference(
        "misc", "Hien, L. T. K. and Leplat, V. and Gillis, N.",
        "Block majorization minimization with extrapolation and application to beta-{NMF}", "arXiv:2401.06646", 2024,
        "10.48550/arXiv.2401.06646"),
    "ang2019": Reference(
        "article", "Ang, A. M. S. and Gillis, N.",
        "Accelerating nonnegative matrix factorization algorithms using extrapolation", _NECO, 2019,
        "10.1162/neco_a_01157"),
    "kim2008": Reference(
        "article", "Kim, H. and Park, H.",
        "Nonnegative matrix factorization based on alternating nonnegativity constrained least squares and active set "
        "method", "SIAM Journal on Matrix Analysis and Applications", 2008, "10.1137/07069239X"),
    "kim2011": Reference(
        "article", "Kim, J. and Park, H.",
        "Fast nonnegative matrix factorization: An active-set-like method and comparisons", _SISC, 2011,
        "10.1137/110821172"),
    "bro1997": Reference(
        "article", "Bro, R. and de Jong, S.", "A fast non-negativity-constrained least squares algorithm",
        "Journal of Chemometrics", 1997, "10.1002/(SICI)1099-128X(199709/10)11:5<393::AID-CEM483>3.0.CO;2-L"),
    "guan2012": Reference(
        "article", "Guan, N. and Tao, D. and Luo, Z. and Yuan, B.",
        "{NeNMF}: An optimal gradient method for nonnegative matrix factorization", _TSP, 2012,
        "10.1109/TSP.2012.2190406"),
    "lin2007": Reference(
        "article", "Lin, C.-J.", "Projected gradient methods for nonnegative matrix factorization", _NECO, 2007,
        "10.1162/neco.2007.19.10.2756"),
    "armijo1966": Reference(
        "article", "Armijo, L.",
        "Minimization of functions having {Lipschitz} continuous first partial derivatives",
        "Pacific Journal of Mathematics", 1966, "10.2140/pjm.1966.16.1"),
    "bertsekas1976": Reference(
        "article", "Bertsekas, D. P.", "On the {Goldstein-Levitin-Polyak} gradient projection method",
        "IEEE Transactions on Automatic Control", 1976, "10.1109/TAC.1976.1101194"),
    "huang2016": Reference(
        "article", "Huang, K. and Sidiropoulos, N. D. and Liavas, A. P.",
        "A flexible and efficient algorithmic framework for constrained matrix and tensor factorization", _TSP, 2016,
        "10.1109/TSP.2016.2576427"),
    "berry2007": Reference(
        "article", "Berry, M. W. and Browne, M. and Langville, A. N. and Pauca, V. P. and Plemmons, R. J.",
        "Algorithms and applications for approximate nonnegative matrix factorization",
        r"Computational Statistics \& Data Analysis", 2007, "10.1016/j.csda.2006.11.006"),
    "gemulla2011": Reference(
        "inproceedings", "Gemulla, R. and Nijkamp, E. and Haas, P. J. and Sismanis, Y.",
        "Large-scale matrix factorization with distributed stochastic gradient descent", _KDD, 2011,
        "10.1145/2020408.2020426"),
    "biggs2008": Reference(
        "inproceedings", "Biggs, M. and Ghodsi, A. and Vavasis, S.",
        "Nonnegative matrix factorization via rank-one downdate",
        "Proceedings of the 25th International Conference on Machine Learning", 2008, "10.1145/1390156.1390165"),
    "erichson2018": Reference(
        "article", "Erichson, N. B. and Mendible, A. and Wihlborn, S. and Kutz, J. N.",
        "Randomized nonnegative matrix factorization", "Pattern Recognition Letters", 2018,
        "10.1016/j.patrec.2018.01.007"),
    "mairal2010": Reference(
        "article", "Mairal, J. and Bach, F. and Ponce, J. and Sapiro, G.",
        "Online learning for matrix factorization and sparse coding", "Journal of Machine Learning Research", 2010),
    # starts
    "pedregosa2011": Reference(
        "article", _SCIKIT_LEARN, "{Scikit-learn}: Machine learning in {Python}",
        "Journal of Machine Learning Research", 2011),
    "langville2014": Reference(
        "misc", "Langville, A. N. and Meyer, C. D. and Albright, R. and Cox, J. and Duling, D.",
        "Algorithms, initializations, and convergence for the nonnegative matrix factorization", "arXiv:1407.7299",
        2014, "10.48550/arXiv.1407.7299"),
    "boutsidis2008": Reference(
        "article", "Boutsidis, C. and Gallopoulos, E.",
        "{SVD} based initialization: A head start for nonnegative matrix factorization", "Pattern Recognition", 2008,
        "10.1016/j.patcog.2007.09.010"),
    "halko2011": Reference(
        "article", "Halko, N. and Martinsson, P. G. and Tropp, J. A.",
        "Finding structure with randomness: Probabilistic algorithms for constructing approximate matrix "
        "decompositions", "SIAM Review", 2011, "10.1137/090771806"),
    "ding2010": Reference(
        "article", "Ding, C. and Li, T. and Jordan, M. I.", "Convex and semi-nonnegative matrix factorizations", _PAMI,
        2010, "10.1109/TPAMI.2008.277"),
    "araujo2001": Reference(
        "article",
        "Araújo, M. C. U. and Saldanha, T. C. B. and Galvão, R. K. H. and Yoneyama, T. and Chame, H. C. and Visani, V.",
        "The successive projections algorithm for variable selection in spectroscopic multicomponent analysis",
        "Chemometrics and Intelligent Laboratory Systems", 2001, "10.1016/S0169-7439(01)00119-8"),
    "gillis2014": Reference(
        "article", "Gillis, N.",
        "Successive nonnegative projection algorithm for robust nonnegative blind source separation",
        "SIAM Journal on Imaging Sciences", 2014, "10.1137/130946782"),
    # many runs
    "alexandrov2013": Reference(
        "article", "Alexandrov, L. B. and Nik-Zainal, S. and Wedge, D. C. and Campbell, P. J. and Stratton, M. R.",
        "Deciphering signatures of mutational processes operative in human cancer", "Cell Reports", 2013,
        "10.1016/j.celrep.2012.12.008"),
    "efron1979": Reference(
        "article", "Efron, B.", "Bootstrap methods: Another look at the jackknife", "The Annals of Statistics", 1979,
        "10.1214/aos/1176344552"),
    "islam2022": Reference(
        "article", "Islam, S. M. A. and others",
        "Uncovering novel mutational signatures by de novo extraction with {SigProfilerExtractor}", "Cell Genomics",
        2022, "10.1016/j.xgen.2022.100179"),
    "kotliar2019": Reference(
        "article",
        "Kotliar, D. and Veres, A. and Nagy, M. A. and Tabrizi, S. and Hodis, E. and Melton, D. A. and Sabeti, P. C.",
        "Identifying gene expression programs of cell-type identity and cellular activity with single-cell {RNA-Seq}",
        "{eLife}", 2019, "10.7554/eLife.43803"),
    "monti2003": Reference(
        "article", "Monti, S. and Tamayo, P. and Mesirov, J. and Golub, T.",
        "Consensus clustering: A resampling-based method for class discovery and visualization of gene expression "
        "microarray data", "Machine Learning", 2003, "10.1023/A:1023949509487"),
    "gillis2014fast": Reference(
        "article", "Gillis, N. and Vavasis, S. A.",
        "Fast and robust recursive algorithms for separable nonnegative matrix factorization", _PAMI, 2014,
        "10.1109/TPAMI.2013.226"),
    # exposures to known components
    "wilks1938": Reference(
        "article", "Wilks, S. S.",
        "The large-sample distribution of the likelihood ratio for testing composite hypotheses",
        "The Annals of Mathematical Statistics", 1938, "10.1214/aoms/1177732360"),
    "efron1993": Reference(
        "misc", "Efron, B. and Tibshirani, R. J.", "An introduction to the bootstrap", r"Chapman \& Hall", 1993),
    "rubin1981": Reference(
        "article", "Rubin, D. B.", "The {Bayesian} bootstrap", "The Annals of Statistics", 1981,
        "10.1214/aos/1176345338"),
}  # fmt: skip


class Described(NamedTuple):
    """What a name stands for in words, and the keys of what is to be cited for it."""

    words: str
    keys: tuple[str, ...]


MODEL = ("paatero1994", "lee1999")
ACCELERATION = ("ang2019",)
OTHER_ACCELERATIONS = {"mue": ("ang2019", "hien2024")}
ONLINE = ("mairal2010",)
KNOWN_ENTRIES = ("zhou2008",)  # of penalties that grow with their number
BETA = Described("the beta-divergence with beta = {:g}", ("fevotte2011",))

DESCRIBED_LOSSES = {
    "frobenius": Described("half the sum of squared errors", ("lee2001",)),
    "kullback-leibler": Described(
        "the generalised Kullback-Leibler divergence, the sum of x log(x / y) - x + y over entries x of X and y of the "
        "model", ("lee2001",)),
    "itakura-saito": Described(
        "the Itakura-Saito divergence, the sum of x / y - log(x / y) - 1 over entries x of X and y of the model",
        ("fevotte2009",)),
}  # fmt: skip

DESCRIBED_SOLVERS = {
    "hals": Described(
        "hierarchical alternating least squares, that is cyclic coordinate descent", ("cichocki2009", "hsieh2011")),
    "newton": Described("coordinate descent with Newton steps", ("hsieh2011", "hien2021")),
    "mue": Described("multiplicative updates", ("fevotte2011",)),
    "mu": Described("multiplicative updates", ("lee2001", "fevotte2011")),
    "greedy": Described("greedy coordinate descent", ("hsieh2011",)),
    "anls-bpp": Described("alternating non-negative least squares, solved by block principal pivoting", ("kim2011",)),
    "anls-as": Described(
        "alternating non-negative least squares, solved by the active set method", ("bro1997", "kim2008")),
    "nesterov": Described("Nesterov's optimal gradient method, applied to both factors in turn", ("guan2012",)),
    "pg": Described("projected gradient steps with Lin's line search", ("lin2007",)),
    "gd": Described("projected gradient descent with Armijo's rule", ("armijo1966", "bertsekas1976")),
    "admm": Described(
        "the alternating direction method of multipliers, applied to both factors in turn", ("huang2016",)),
    "als": Described(
        "alternating least squares with negative entries set to zero", ("paatero1994", "berry2007")),
    "sgd": Described("stochastic projected gradient descent", ("gemulla2011",)),
    "sequential": Described("building one component after the other", ("biggs2008",)),
    "randomized": Described("coordinate descent on a randomly compressed X", ("erichson2018",)),
}  # fmt: skip

# Replicates of X, by how they are drawn; of a subsample with the share of the samples.
DESCRIBED_REPLICATES = {
    "poisson": Described(
        "in which every entry had been drawn from a Poisson distribution with that of X as its mean", ("islam2022",)),
    "bootstrap": Described("of as many samples, drawn from those of X with replacement", ("efron1979",)),
    "subsample": Described("of {:g} of the samples of X, drawn without replacement", ("monti2003",)),
}  # fmt: skip

# How components of many runs are brought together.
DESCRIBED_CLUSTERINGS = {
    "kmeans": Described("by the k-means method", ("kotliar2019",)),
    "matching": Described("so that none held two of one run", ("kotliar2019", "alexandrov2013")),
}

_SVD = ("boutsidis2008", "halko2011")
DESCRIBED_STARTS = {
    "random": Described("absolute values of normal random numbers, scaled to the mean of X", ("pedregosa2011",)),
    "random_vcol": Described("means of random rows and columns of X", ("langville2014",)),
    "nndsvd": Described("NNDSVD, a non-negative double singular value decomposition", _SVD),
    "nndsvda": Described(
        "NNDSVDa, a non-negative double singular value decomposition with its zeros replaced by the mean of X", _SVD),
    "nndsvdar": Described(
        "NNDSVDar, a non-negative double singular value decomposition with its zeros replaced by small random numbers",
        _SVD),
    "kmeans": Described("clusters of the samples by the k-means method", ("ding2010",)),
    "spa": Described("rows of X chosen by successive projection", ("araujo2001", "gillis2014fast")),
    "snpa": Described("rows of X chosen by successive non-negative projection", ("gillis2014",)),
    "best-of": Described(
        "the best of several short fits from absolute values of normal random numbers, scaled to the mean of X",
        ("pedregosa2011",)),
    "custom": Described("factors that were given", ()),
}  # fmt: skip
