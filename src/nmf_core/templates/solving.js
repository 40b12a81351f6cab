/* W of a row for the components of a model, by the loss and with the penalties of its fit. A row has values at some
 * places; with `complete` it is zero elsewhere, else nothing is known there. */

const TOLERANCE = 1e-8, MOST_SWEEPS = 5000, SWEEPS = 500, MOST_EXACT = 300;
// Multiplicative updates of other losses may end in several minima: as many as in Python, to end in the same one.
const UPDATES = 200, UPDATE_TOLERANCE = 1e-4;

/* The solution of those equations of a Gram matrix that are inside, by Cholesky; zero elsewhere, and where rows depend
 * on those before. */
function solved(gram, right, inside) {
  const L = [], y = [];
  for (const c of inside) {
    const row = [];
    for (let j = 0; j < L.length; j++) {
      let value = gram[c][inside[j]];
      for (let i = 0; i < j; i++) value -= row[i] * L[j][i];
      row.push(L[j][j] > 0 ? value / L[j][j] : 0);
    }
    const left = gram[c][c] - sum(row.map((value) => value * value));
    const root = left > 1e-13 * gram[c][c] ? Math.sqrt(left) : 0;
    y.push(root > 0 ? (right[c] - sum(row.map((value, j) => value * y[j]))) / root : 0);
    L.push([...row, root]);
  }
  const z = new Float64Array(right.length);
  for (let j = L.length - 1; j >= 0; j--) {
    let value = y[j];
    for (let i = j + 1; i < L.length; i++) value -= L[i][j] * z[inside[i]];
    z[inside[j]] = L[j][j] > 0 ? value / L[j][j] : 0;
  }
  return z;
}

class Solver {
  constructor(model) {
    this.model = model;
    this.k = model.k;
  }

  /* W of a row, for H and with the loss and the penalties of the fit. */
  components(row) {
    const { beta, biases, byKnown, floor, nFeatures } = this.model;
    const amount = byKnown ? (row.complete ? nFeatures : row.places.length) : 1;
    const l1 = this.model.l1 * amount, l2 = this.model.l2 * amount;
    const zerosCount = floor > 0 || biases || (beta !== 1 && beta !== 2);
    if (row.complete && zerosCount) row = this.everywhere(row);
    const x = Float64Array.from(row.values, (value) => value + floor);
    if (beta === 2) return this.leastSquares(row, x, l1, l2);
    if (!(sum(x) > 0)) return new Float64Array(this.k);
    return beta === 1 ? this.byNewton(row, x, l1, l2) : this.byUpdates(row, x, l1, l2);
  }

  /* The same row with its zeros. */
  everywhere(row) {
    const values = new Float64Array(this.model.size);
    row.places.forEach((place, i) => { values[place] = row.values[i]; });
    return { places: Array.from(values.keys()), values, complete: false };
  }

  /* Coordinate descent for the squared error. With biases, that of the row is one component more, of any sign. */
  leastSquares(row, x, l1, l2) {
    const { places } = row;
    const { H, biases, biasOf } = this.model;
    let gram = row.complete ? this.model.gram : this.model.gramOver(places);
    if (biases) x = x.map((value, i) => value - biases.mean - biasOf[places[i]]);
    const cross = H.map((h) => {
      let total = -l1;
      for (let i = 0; i < x.length; i++) total += x[i] * h[places[i]];
      return total;
    });
    if (biases) {
      const sums = H.map((h) => sum(places.map((place) => h[place])));
      gram = [...gram.map((g, c) => [...g, sums[c]]), [...sums, places.length]];
      cross.push(sum(x));
    }
    if (l2 > 0) gram = gram.map((g, c) => g.map((value, d) => (c === d ? value + l2 : value)));
    return this.descended(gram, cross).slice(0, this.k);
  }

  /* The minimiser of w gram w / 2 - cross w, of which the first k entries may not be negative. */
  descended(gram, cross) {
    const n = cross.length;
    const w = new Float64Array(n);
    for (let sweep = 0, first = 0; sweep < SWEEPS; sweep++) {
      let length = 0;
      for (let c = 0; c < n; c++) {
        const curvature = gram[c][c];
        if (!(curvature > 0)) continue;
        let slope = -cross[c];
        for (let d = 0; d < n; d++) slope += gram[c][d] * w[d];
        const moved = w[c] - slope / curvature;
        const next = c < this.k ? Math.max(0, moved) : moved;
        length += (next - w[c]) ** 2 * curvature;
        w[c] = next;
      }
      if (sweep === 0) first = length;
      if (length <= TOLERANCE ** 2 * first) return w;
    }
    return n <= MOST_EXACT ? this.exactly(gram, cross, w) : w;
  }

  /* The same from w on where components are so alike that descent is slow: with the active set method of Lawson and
   * Hanson, in the scale in which the diagonal of gram is one. */
  exactly(gram, cross, w) {
    const n = cross.length;
    const scale = gram.map((g, c) => (g[c] > 0 ? 1 / Math.sqrt(g[c]) : 0));
    const unit = gram.map((g, c) => g.map((value, d) => value * scale[c] * scale[d]));
    const right = cross.map((value, c) => value * scale[c]);
    const size = Math.max(...right.map(Math.abs));
    let z = Float64Array.from(w, (value, c) => (scale[c] > 0 ? value / scale[c] : 0));
    const inside = new Set(Array.from(z.keys()).filter((c) => scale[c] > 0 && (z[c] > 0 || c >= this.k)));
    const barred = new Set();  // what has been let in for nothing
    for (let turn = 0; turn < 10 * n; turn++) {
      const next = solved(unit, right, [...inside]);
      let step = 1;
      for (const c of inside) if (c < this.k && next[c] <= 0) step = Math.min(step, z[c] / (z[c] - next[c]) || 0);
      if (step < 1) {
        z = z.map((value, c) => value + step * (next[c] - value));
        for (const c of [...inside]) {
          if (c >= this.k || next[c] > 0 || z[c] > 1e-15 * size) continue;
          z[c] = 0;
          inside.delete(c);
          if (step === 0) barred.add(c);
        }
        continue;
      }
      z = next;
      const slope = right.map((value, c) => value - sum(unit[c].map((one, d) => one * z[d])));
      const enters = (c) => !inside.has(c) && !barred.has(c) && slope[c] > 1e-12 * size;
      const [best] = strongest(n, (c) => (enters(c) ? slope[c] : NaN), 1);
      if (!best) break;
      inside.add(best.place);
    }
    return z.map((value, c) => value * scale[c]);
  }

  /* What entries of the model count as at least: next to nothing. */
  least(x, row) {
    return 1e-18 * (sum(x) / (row.complete ? this.model.size : x.length));
  }

  /* The sums of components over what is known of a row. */
  sumsOver(row) {
    return this.model.H.map((h) => (row.complete ? sum(h) : sum(row.places.map((place) => h[place]))));
  }

  /* Coordinate descent for Kullback-Leibler: Newton steps for 1 / q = 1 / s, where s - q is the slope, as in Python. */
  byNewton(row, x, l1, l2) {
    const some = row.places.filter((_, i) => x[i] > 0);
    const least = this.least(x, row), sums = this.sumsOver(row), mass = sum(sums);
    const w = new Float64Array(this.k).fill(mass > 0 ? sum(x) / mass : 0);
    x = x.filter((value) => value > 0);
    const rows = this.model.H.map((h) => Float64Array.from(some, (place) => h[place]));
    const y = new Float64Array(x.length);
    rows.forEach((h, c) => h.forEach((value, i) => { y[i] += w[c] * value; }));
    for (let sweep = 0, first = 0; sweep < MOST_SWEEPS; sweep++) {
      let length = 0;
      for (let c = 0; c < this.k; c++) {
        const h = rows[c], s = sums[c] + l1 + l2 * w[c];
        let q = 0, bend = 0;
        for (let i = 0; i < x.length; i++) {
          const u = h[i] / Math.max(y[i], least);
          q += x[i] * u;
          bend += x[i] * u * u;
        }
        if (!(s > 0)) continue;
        const ratio = q / s;
        const lowest = ratio < 1 ? w[c] * ratio : 0;
        const next = bend > 0 ? Math.max(lowest, w[c] + ((q - s) * ratio) / (bend + l2 * ratio ** 2)) : 0;
        const move = next - w[c];
        for (let i = 0; i < x.length; i++) y[i] = Math.max(0, y[i] + move * h[i]);
        length += move ** 2 * (bend + l2);
        w[c] = next;
      }
      if (sweep === 0) first = length;
      if (length <= TOLERANCE ** 2 * first) break;
    }
    return w;
  }

  /* Multiplicative updates for other beta-divergences, as many as in Python. */
  byUpdates(row, x, l1, l2) {
    const { beta } = this.model, { places } = row;
    const exponent = beta < 1 ? 1 / (2 - beta) : beta > 2 ? 1 / (beta - 1) : 1;
    const least = this.least(x, row), sums = this.sumsOver(row), mass = sum(sums);
    const w = new Float64Array(this.k).fill(mass > 0 ? sum(x) / mass : 0);
    const rows = this.model.H.map((h) => Float64Array.from(places, (place) => h[place]));
    const y = new Float64Array(x.length), power = new Float64Array(x.length);
    for (let update = 0, first = 0; update < UPDATES; update++) {
      y.fill(0);
      rows.forEach((h, c) => {
        if (w[c] > 0) for (let i = 0; i < y.length; i++) y[i] += w[c] * h[i];
      });
      for (let i = 0; i < y.length; i++) {
        y[i] = Math.max(y[i], least);
        power[i] = y[i] ** (beta - 2);
      }
      const model = sum(w.map((value, c) => value * sums[c]));
      let length = 0;
      rows.forEach((h, c) => {
        let up = 0, down = l1 + l2 * w[c];
        for (let i = 0; i < y.length; i++) {
          up += h[i] * x[i] * power[i];
          down += h[i] * y[i] * power[i];
        }
        const curvature = model > 0 ? (down * sums[c]) / model + l2 : 0;
        if (curvature > 0) length += Math.max((up - down) / curvature, -w[c]) ** 2 * curvature;
        w[c] *= down > 0 ? (up / down) ** exponent : 0;
      });
      if (update === 0) first = length;
      if (length <= UPDATE_TOLERANCE ** 2 * first) break;
    }
    return w;
  }
}
