"""What sounds in a recording: Brahms's Hungarian Dance no. 5, taken apart into eight signals that sum to it.

By the loss of Itakura and Saito, for which quiet partials count as much as loud ones; the floor, 80 decibels below the
loudest, is there because digital silence would make it infinite. Spectra by squared error serve it less well.

C. Fevotte, N. Bertin and J.-L. Durrieu (2009), "Nonnegative matrix factorization with the Itakura-Saito divergence:
with application to music analysis", doi:10.1162/neco.2008.04-08-771. The recording: a string orchestra.
"""

import data
import numpy as np
import scipy.signal

from nmf_core import factorize, plotting

notes = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
args = data.arguments(__doc__)
sound = data.open_folder(args.data, "audio_brahms.npz").arrays("audio_brahms")
rate = int(sound["sr"])
signal = sound["x"][: 14 * rate if args.quick else None] / 32768
frames = {"fs": rate, "nperseg": 4096, "noverlap": 3072}  # long enough to tell neighbouring notes apart
hertz, seconds, stft = scipy.signal.stft(signal, **frames)
power = np.abs(stft.T) ** 2
numbers = np.round(69 + 12 * np.log2(np.maximum(hertz, 16) / 440)).astype(int)  # of keys, A4 being 440 Hz
names = {
    "sample_names": [f"{second:.0f}" for second in seconds],
    "feature_names": [f"{notes[n % 12]}{n // 12 - 1}" for n in numbers],
}
how = {"floor": 1e-8 * power.max(), "random_state": 0, "max_iter": 100 if args.quick else 500}
fit = factorize(power, 8, loss="itakura-saito", **names, **how).scaled()
print(f"{len(seconds)} frames in {seconds[-1]:.0f} s, {len(hertz)} frequencies, {fit.n_components} components")

parts = fit.separate(stft.T)
signals = [scipy.signal.istft(part.T, **frames)[1][: len(signal)] for part in parts]
print(f"eight signals sum to the recording up to {np.abs(sum(signals) - signal).max():.0e}\n")
chords = fit.components.T.groupby(level=0).sum()
loudness = fit.embedding.groupby(level=0, sort=False).mean()
print("component  share  level of its signal  strongest notes, %                loudness in every second")
for name, share, part in zip(fit.names, fit.component_info()["share"], signals, strict=True):
    listed = "  ".join(f"{note:>3} {100 * weight:2.0f}" for note, weight in chords[name].nlargest(4).items())
    levels = np.digitize(loudness[name] / loudness[name].max(), (1e-3, 1e-2, 1e-1, 0.5))
    print(f"{name:>9} {share:6.1%}  {20 * np.log10(part.std() / signal.std()):16.1f} dB  {listed}  "
          f"|{''.join(' .-+#'[level] for level in levels)}|")  # fmt: skip
print("less than 3 dB below the loudest second #, 10 dB +, 20 dB -, 30 dB .")

squares = factorize(power, 8, **how)
other = factorize(power, H=squares.H, update_H=False, loss="itakura-saito", **how)
print("\nItakura-Saito divergence per entry, of which a true model leaves 0.58")
for name, one in (("Itakura-Saito", fit), ("Frobenius", other)):
    print(f"{name:<14} {one.divergence / power.size:.2f}")
if args.plot:
    figure = plotting.spectra(fit, hertz)
    for ax in figure.axes:
        ax.set_xlim(0, 1500)
    figure.savefig(args.plot)
