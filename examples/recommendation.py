"""What is funny, predicted: 363,209 ratings of 100 jokes by 5,000 people.

People rated the jokes that they read from -10 to 10; 10 is added, because NMF wants nothing negative. What somebody
has not rated is unknown, not zero: ``missing="unstored"``. Ten percent of the ratings are held out. The number of
components and the strength of the penalty are chosen by cross-validation on the others only, the model is fitted to
those, and the held-out ratings are predicted, beside three predictions that know no tastes: the mean, the mean of every
joke, and means of jokes and people. The error is the root of the mean squared error, in points of 20.

The penalty is one per rating (``alpha_scaling="observed"``): the row of somebody who has rated many jokes is held back
no more by it than that of somebody who has rated few (Zhou et al. 2008).

    python examples/recommendation.py [--quick] [--plot recommendation.png]

References
----------
K. Goldberg, T. Roeder, D. Gupta and C. Perkins (2001), "Eigentaste: a constant time collaborative filtering algorithm"
(the data), doi:10.1023/A:1011419012209. Y. Zhou, D. Wilkinson, R. Schreiber and R. Pan (2008), "Large-scale parallel
collaborative filtering for the Netflix prize", doi:10.1007/978-3-540-68880-8_32.
"""

import data
import numpy as np
import scipy.sparse as sp

from nmf_core import factorize
from nmf_core.model_selection import cross_validate_rank, holdout_entries
from nmf_core.plotting import rank_curve

SHIFT = 10
LEAST, MOST = 0.05, 19.9


def rmse(values, predicted):
    """Root of the mean squared error of ratings, predictions being clipped to the range of ratings."""
    return np.sqrt(np.mean((values - np.clip(predicted, LEAST, MOST)) ** 2))


def means(X, shrink=10):
    """Predictions without tastes for all people and jokes: the mean, means of jokes, and means of both."""
    known = X.astype(bool).astype(float)
    mean = X.data.mean()
    jokes = mean + (X.sum(axis=0) - mean * known.sum(axis=0)) / (known.sum(axis=0) + shrink)
    people = (X.sum(axis=1) - known @ jokes) / (known.sum(axis=1) + shrink)
    everywhere = np.zeros(X.shape)
    return {
        "the mean": everywhere + mean,
        "mean of every joke": everywhere + jokes,
        "means of jokes and people": everywhere + jokes + people[:, np.newaxis],
    }


def main():
    """Choose, fit, predict, recommend, and print all that."""
    args = data.arguments(__doc__)
    load = data.open_folder(args.data, "jester5k.npz")
    X = sp.csr_array(load.matrix("jester5k"))
    if args.quick:
        X = X[:1000]
    held_out = holdout_entries(X, 0.1, random_state=0, missing="unstored")
    print(f"{X.shape[0]} people, {X.shape[1]} jokes, {held_out.X.nnz} ratings known, {len(held_out.values)} held out")

    ranks, penalties = ((5, 10), (0.1, 0.2)) if args.quick else ((5, 10, 15), (0.1, 0.2, 0.3))
    shared = {"missing": "unstored", "alpha_scaling": "observed", "random_state": 0, "max_iter": 200}
    print("\nmean squared error / 2 of ratings held out from those that are known")
    print("penalty  " + "".join(f"{f'{k} components':>22}" for k in ranks))
    chosen = {}
    for alpha in penalties:
        chosen[alpha] = cross_validate_rank(held_out.X, ranks, n_folds=3, alpha_W=alpha, **shared)
        errors = zip(chosen[alpha].mean, chosen[alpha].standard_error, strict=True)
        print(f"{alpha:7}  " + "".join(f"{error:14.3f} +- {spread:.3f}" for error, spread in errors))
    alpha = min(chosen, key=lambda a: chosen[a].mean.min())
    k = chosen[alpha].best

    fit = factorize(held_out.X, k, alpha_W=alpha, **shared)
    print(f"\nerror of the held-out ratings in points, {k} components and penalty {alpha}")
    place = held_out.rows, held_out.columns
    for name, predicted in means(held_out.X).items():
        print(f"  {name:<26} {rmse(held_out.values, predicted[place]):.3f}")
    print(f"  {'non-negative factors':<26} {rmse(held_out.values, fit.predict(*place)):.3f}")

    somebody = int(np.argmin(np.diff(held_out.X.indptr)))
    best = fit.recommend(somebody, 5, exclude=held_out.X)
    print(f"\nperson {somebody} has rated {held_out.X[[somebody]].nnz} jokes; of the others these should please most:")
    for joke, score in zip(best.columns[0], best.scores[0], strict=True):
        print(f"  joke {joke:3}: {score - SHIFT:5.1f}")
    if args.plot:
        rank_curve(chosen[alpha]).savefig(args.plot)


if __name__ == "__main__":
    main()
