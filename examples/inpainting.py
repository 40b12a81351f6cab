"""A photograph of which a third of the pixels is lost, restored.

An image is a matrix, and NMF with missing entries finds factors from the pixels that are left: the product fills the
holes. Filling them with the mean of the image first and factorizing the result as if it were the truth is the usual way
around a method that needs every entry; the model then explains the filling, too. Both are compared by the peak
signal-to-noise ratio on the lost pixels, in decibels: higher is better, and 6 more are half the error.

More components describe the pixels that are left better and better, the lost ones only up to a point. The number of
components is chosen without looking at the lost pixels, by cross-validation on those that are left: of these a fifth is
held out at a time and predicted from the others (Wold 1978, doi:10.1080/00401706.1978.10489693).

    python examples/inpainting.py [--quick] [--plot inpainting.png]
"""

import data
import numpy as np
from sklearn.datasets import load_sample_image

from nmf_core import factorize
from nmf_core.model_selection import cross_validate_rank

# A little l2 keeps what hardly any pixel asks for near zero.
PENALTY = {"alpha_W": 0.3, "alpha_scaling": "observed"}


def picture(size):
    """A square of the temple of scikit-learn's sample photograph, grey values from 0 to 255."""
    grey = load_sample_image("china.jpg")[:, :, :3].mean(axis=2)
    return grey[80 : 80 + size, 40 : 40 + size]


def psnr(image, restored, where):
    """Peak signal-to-noise ratio in decibels over some pixels."""
    return 10 * np.log10(255**2 / np.mean((image[where] - np.clip(restored[where], 0, 255)) ** 2))


def draw(file, images):
    """The images side by side, with their names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(images), 4.3), layout="constrained")
    for ax, (name, image) in zip(figure.subplots(1, len(images)), images.items(), strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255)
        ax.set_title(name)
        ax.axis("off")
    figure.savefig(file)


def main():
    """Lose pixels, restore them, and print how well."""
    args = data.arguments(__doc__)
    size, ranks = (128, (4, 8, 12, 16)) if args.quick else (256, (5, 10, 15, 20, 25, 30, 40))
    image = picture(size)
    lost = np.random.default_rng(0).random(image.shape) < 0.3
    holes = np.where(lost, np.nan, image)

    chosen = cross_validate_rank(holes, ranks, missing="nan", random_state=0, max_iter=300, **PENALTY)
    k = chosen.best
    print(f"{size} x {size} pixels, {lost.sum()} of them lost; error of pixels held out from the others, by rank:")
    for rank, error, deviation in zip(chosen.n_components, chosen.mean, chosen.standard_error, strict=True):
        print(f"  {rank:3} components: {error:7.1f} +- {deviation:.1f}{'  <- least' if rank == k else ''}")

    fit = factorize(holes, k, missing="nan", random_state=0, max_iter=300, **PENALTY)
    restored = fit.impute(holes)
    filled = np.where(lost, image[~lost].mean(), image)
    plain = factorize(filled, k, random_state=0, max_iter=300)
    print("\nPSNR on the lost pixels")
    for name, model in (
        ("mean of the image", filled),
        ("mean, then NMF", plain.W @ plain.H),
        ("NMF of what is left", restored),
    ):
        print(f"  {name:<20} {psnr(image, model, lost):5.1f} dB")
    if args.plot:
        shown = np.where(lost, 255.0, image)
        draw(args.plot, {"lost": shown, f"{k} components": restored, "original": image})


if __name__ == "__main__":
    main()
