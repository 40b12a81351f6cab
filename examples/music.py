"""What sounds in a recording: Brahms's Hungarian Dance no. 5, by a string orchestra.

The power of every frequency in every frame of the recording is split into eight spectra and their loudness over time.
Power spans eight orders of magnitude, and what is heard is its logarithm. The divergence of Itakura and Saito depends
only on the ratio of data and model, so quiet partials count as much as loud ones; it is also the likelihood of sounds
that are sums of Gaussian processes, of which a true model leaves Euler's constant, 0.58, an entry. Squared error sees
little but the loudest notes. Both are compared. The notes found are those of G minor, as the dance is often played by
orchestras, and one component has hardly any energy: it is the noise that follows the last chord.

The divergence is infinite at a power of zero, and this recording ends in digital silence. A floor is therefore added
everywhere, 80 decibels below the loudest entry: what lies below is taken for noise that nobody hears.

    python examples/music.py [--quick] [--plot music.png]

Reference
---------
C. Fevotte, N. Bertin and J.-L. Durrieu (2009), "Nonnegative matrix factorization with the Itakura-Saito divergence:
with application to music analysis", doi:10.1162/neco.2008.04-08-771.
"""

from itertools import pairwise

import data
import numpy as np

from nmf_core import beta_divergence, factorize

K = 8
N_FFT, HOP = 4096, 1024  # samples: a frame is long enough to tell neighbouring notes apart
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
BANDS = (0, -20, -40, -60, -80)


def note(frequency):
    """The name of the nearest note of equal temperament, A4 being 440 Hz."""
    number = round(69 + 12 * np.log2(frequency / 440))
    return f"{NOTES[number % 12]}{number // 12 - 1}"


def peaks(spectrum, spacing, n=4):
    """The frequencies of the n highest local maxima, between bins by a parabola through the decibels of three."""
    left, middle, right = spectrum[:-2], spectrum[1:-1], spectrum[2:]
    top = np.flatnonzero((middle > left) & (middle >= right))
    top = top[np.argsort(-middle[top])][:n]
    a, b, c = (np.log(np.maximum(part[top], 1e-30)) for part in (left, middle, right))
    return spacing * (top + 1 + (a - c) / (2 * (a - 2 * b + c)))


def decibels(A, reference):
    """Powers as levels."""
    return 10 * np.log10(A / reference)


def draw(file, V, model, extent):
    """The recording and the model of it, in decibels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for ax, A, title in zip(axes, (V, model), ("recording", f"{K} components"), strict=True):
        image = ax.imshow(decibels(A.T, V.max()), origin="lower", aspect="auto", vmin=-80, vmax=0, extent=extent)
        ax.set(title=title, xlabel="seconds", ylabel="Hz")
    figure.colorbar(image, ax=axes, label="dB")
    figure.savefig(file)


def main():
    """Fit, and print what was found."""
    args = data.arguments(__doc__)
    load = data.open_folder(args.data, "audio_brahms.npz")
    rate = int(load.arrays("audio_brahms")["sr"])
    V = load.spectrogram("audio_brahms", n_fft=N_FFT, hop=HOP, power=2.0).T.astype(float)  # frames in rows
    if args.quick:
        V = V[:300]
    floor = 1e-8 * V.max()
    V += floor
    seconds, max_iter = len(V) * HOP / rate, 50 if args.quick else 500
    fit = factorize(V, K, loss="itakura-saito", random_state=0, max_iter=max_iter)
    squares = factorize(V, K, loss="frobenius", random_state=0, max_iter=max_iter)
    print(f"{len(V)} frames in {seconds:.0f} s, {V.shape[1]} frequencies, {K} components")

    # The energy of a component in a frame; how scale is shared between W and H does not matter.
    energy = fit.W * fit.H.sum(axis=1)
    print("\ncomponent  energy  strongest frequencies in Hz and nearest notes     loudness in every second")
    for n, j in enumerate(np.argsort(-energy.sum(axis=0))):
        listed = "  ".join(f"{hertz:6.0f} {note(hertz):<3}" for hertz in peaks(fit.H[j], rate / N_FFT))
        loudness = np.array([block.mean() for block in np.array_split(energy[:, j], round(seconds))])
        signs = [" .-+#"[i] for i in np.digitize(decibels(loudness, loudness.max()), (-30, -20, -10, -3))]
        print(f"{n + 1:9}  {energy[:, j].sum() / energy.sum():6.2%}  {listed}  |{''.join(signs)}|")
    print("below the loudest second:  # less than 3 dB,  + 10 dB,  - 20 dB,  . 30 dB")

    # Zeros in the model of the squares would make the divergence infinite: the floor is added as one more component.
    W, H = np.column_stack([squares.W, np.full(len(V), floor)]), np.vstack([squares.H, np.ones(V.shape[1])])
    print("\nloss of the fit   iterations  seconds  Itakura-Saito divergence per entry")
    print(f"Itakura-Saito  {fit.n_iter:13}{fit.seconds:9.1f}{fit.divergence / V.size:36.2f}")
    divergence = beta_divergence(V, W, H, "itakura-saito")
    print(f"Frobenius      {squares.n_iter:13}{squares.seconds:9.1f}{divergence / V.size:36.2f}")

    level = decibels(V, V.max())
    bands = [(level <= high) & (level > low) for high, low in pairwise(BANDS)]
    print("\nlevel of the entries in dB     " + "".join(f"{f'{high} to {low}':>12}" for high, low in pairwise(BANDS)))
    print("share of the entries           " + "".join(f"{band.mean():12.1%}" for band in bands))
    for name, model in (("Itakura-Saito", fit.W @ fit.H), ("Frobenius", W @ H)):
        error = np.abs(decibels(V, model))
        print(f"median error, {name:<17}" + "".join(f"{np.median(error[band]):12.1f}" for band in bands))
    if args.plot:
        draw(args.plot, V, fit.W @ fit.H, (0, seconds, 0, rate / 2))


if __name__ == "__main__":
    main()
