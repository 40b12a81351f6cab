"""What is funny, predicted: ratings of 100 jokes from -10 to 10, of which a tenth is held out.

What somebody has not rated is unknown, not zero. The number of components and the penalty, which is one per rating, are
chosen by cross-validation on the others.

K. Goldberg, T. Roeder, D. Gupta and C. Perkins (2001), "Eigentaste: a constant time collaborative filtering algorithm"
(the data), doi:10.1023/A:1011419012209. Y. Zhou et al. (2008), "Large-scale parallel collaborative filtering for the
Netflix prize" (the penalty), doi:10.1007/978-3-540-68880-8_32.
"""

import data
import pandas as pd
from sklearn.metrics import root_mean_squared_error

from nmf_core import factorize, plotting
from nmf_core.model_selection import cross_validate_rank, holdout_entries

args = data.arguments(__doc__)
X = data.open_folder(args.data, "jester5k.npz").matrix("jester5k")[: 1000 if args.quick else None]  # plus 10
held_out = holdout_entries(X, 0.1, random_state=0, missing="unstored")
print(f"{X.shape[0]} people, {X.shape[1]} jokes, {X.nnz} ratings, {len(held_out.values)} of them held out")

ranks, penalties = ((5, 10), (0.1, 0.2)) if args.quick else ((5, 10, 15), (0.1, 0.2, 0.3))
how = {"missing": "unstored", "alpha_scaling": "observed", "random_state": 0, "max_iter": 200}
chosen = {a: cross_validate_rank(held_out.X, ranks, n_folds=3, alpha_W=a, **how) for a in penalties}
errors = pd.DataFrame({alpha: dict(zip(ranks, cv.mean, strict=True)) for alpha, cv in chosen.items()})
print("\nhalf the squared error of ratings left out of the others, by components and penalty")
print(errors.round(3).to_string())
alpha = errors.min().idxmin()
fit = factorize(held_out.X, chosen[alpha].best, alpha_W=alpha, **how)

known = held_out.X.tocoo()
known = pd.DataFrame({"person": known.row, "joke": known.col, "rating": known.data})
jokes = known.groupby("joke")["rating"].mean()
people = (known["rating"] - known["joke"].map(jokes)).groupby(known["person"]).mean()
by_joke = jokes[held_out.columns].to_numpy()
by_both = by_joke + people[held_out.rows].to_numpy()
print(f"\nroot of the mean squared error of held-out ratings, {fit.n_components} components, penalty {alpha}")
for name, error in (
    ("means of jokes", root_mean_squared_error(held_out.values, by_joke)),
    ("means of jokes and people", root_mean_squared_error(held_out.values, by_both)),
    ("non-negative factors", held_out.rmse(fit)),
):
    print(f"  {name:<26} {error:.3f}")

somebody = int(held_out.X.getnnz(axis=1).argmin())
best = fit.recommend(somebody, 5, exclude=held_out.X)
print(f"\nperson {somebody} has rated few jokes; of the others these should please most:")
print("\n".join(f"  joke {j:3}: {s - 10:5.1f}" for j, s in zip(best.columns[0], best.scores[0], strict=True)))
print(f"\nwhy joke {best.columns[0, 0]}, in points from 0 to 20:")
print(fit.explain(somebody, best.columns[0, 0]).round(2).to_string(index=False))
print("\njokes that speak for a taste, and who shares it:")
print(fit.component_info()[["component", "share", "top_features", "top_samples"]].round(3).to_string(index=False))
if args.plot:
    plotting.rank_curve(chosen[alpha]).savefig(args.plot)
