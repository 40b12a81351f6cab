"use strict";

/* The model that this page holds: unpacked, ranked, compared, and asked for the components of a row.
 * Features have places from 0 to `size`: all of the model, or the strongest of a large one. */

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/* Numbers that were packed as [largest, gaps, integers]; see `quantised` in nmf_core/report/model.py. */
function unpacked([top, gaps, integers], size, levels) {
  const numbers = new Float64Array(size);
  const bytes = bytesOf(integers);
  const wide = levels > 255;
  const value = (i) => top * ((wide ? bytes[2 * i] + 256 * bytes[2 * i + 1] : bytes[i]) / levels) ** 2;
  if (!gaps) {
    const count = wide ? bytes.length / 2 : bytes.length;
    for (let i = 0; i < count; i++) numbers[i] = value(i);
    return numbers;
  }
  let place = -1, found = 0;
  for (const gap of bytesOf(gaps)) {
    place += gap;
    if (gap < 255) numbers[++place] = value(found++);
  }
  return numbers;
}

/* The n of so many places with the largest scores, the first of equal ones first; none where it is not a number. */
function strongest(count, score, n) {
  const best = [];
  for (let i = 0; i < count; i++) {
    const s = score(i);
    if (Number.isNaN(s) || (best.length === n && s <= best[n - 1].score)) continue;
    let at = best.length;
    while (at > 0 && best[at - 1].score < s) at--;
    best.splice(at, 0, { place: i, score: s });
    if (best.length > n) best.pop();
  }
  return best;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

class Model {
  constructor(data) {
    Object.assign(this, data);
    this.k = data.names.length;
    this.kept = data.kept && new Uint32Array(bytesOf(data.kept).buffer);
    this.H = data.rows.map((row) => unpacked(row, this.size, data.levels));
    this.worth = data.worth && unpacked(data.worth, this.size, 65535);
    this.several = data.sums.filter((total) => total > 0).length > 1;
    if (data.biases) this.biasOf = new Float32Array(bytesOf(data.biases.columns).buffer);
  }

  number(place) {
    return this.kept ? this.kept[place] : place;
  }

  label(place) {
    return this.labels ? this.labels[place] : String(this.number(place));
  }

  /* The share of a feature in a component. */
  p(c, place) {
    return this.sums[c] > 0 ? this.H[c][place] / this.sums[c] : 0;
  }

  /* The shares of all features in the model. */
  get q() {
    if (!this._q) {
      this._q = new Float64Array(this.size);
      for (let c = 0; c < this.k; c++) {
        for (let i = 0; i < this.size; i++) this._q[i] += this.shares[c] * this.p(c, i);
      }
    }
    return this._q;
  }

  /* The n strongest features of a component, with bars: by lambda log p + (1 - lambda) log(p / q), with bars for p;
   * without a lambda by p log(p / q), as in the lists of the page before anything is asked. */
  ranking(c, n, lambda) {
    const q = this.q;
    const score = (i) => {
      const p = this.p(c, i);
      if (!(p > 0)) return NaN;
      if (lambda !== null) return Math.log(p) - (1 - Math.max(lambda, 1e-6)) * Math.log(q[i]);
      const distinct = this.several ? p * Math.log(p / q[i]) : p;
      return distinct > 0 ? distinct : NaN;
    };
    const best = strongest(this.size, score, n);
    const length = (one) => (lambda === null ? one.score : this.p(c, one.place));
    const longest = Math.max(...best.map(length));
    return best.map((one) => ({ place: one.place, p: this.p(c, one.place), bar: length(one) / longest }));
  }

  get gram() {
    if (!this._gram) this._gram = this.gramOver(null);
    return this._gram;
  }

  /* H H', over all features or those at some places. */
  gramOver(places) {
    const count = places ? places.length : this.size;
    const rows = places ? this.H.map((h) => Float64Array.from(places, (i) => h[i])) : this.H;
    return rows.map((a) =>
      Float64Array.from(rows, (b) => {
        let total = 0;
        for (let i = 0; i < count; i++) total += a[i] * b[i];
        return total;
      }));
  }

  cosine(a, b) {
    const size = Math.sqrt(this.gram[a][a] * this.gram[b][b]);
    return size > 0 ? this.gram[a][b] / size : 0;
  }

  /* Features that set two components apart, by their part of the Jensen-Shannon divergence, and those in common. */
  compared(a, b, n) {
    const pair = (i) => [this.p(a, i), this.p(b, i)];
    const told = (i) => {
      const [p, r] = pair(i);
      const mean = (p + r) / 2;
      return (p > 0 ? p * Math.log(p / mean) : 0) + (r > 0 ? r * Math.log(r / mean) : 0);
    };
    const lists = [
      (i) => (this.p(a, i) > this.p(b, i) ? told(i) : NaN),
      (i) => Math.min(...pair(i)) || NaN,
      (i) => (this.p(b, i) > this.p(a, i) ? told(i) : NaN),
    ];
    return lists.map((score) =>
      strongest(this.size, score, n).map(({ place }) => ({ place, pair: pair(place) })));
  }

  /* A row, as a `Solver` wants it, of the values of all features, some of them NaN where entries may be missing. */
  rowOf(numbers) {
    const row = { places: [], values: [], complete: this.missing !== "unstored" };
    for (let i = 0; i < this.size; i++) {
      const value = numbers[this.number(i)];
      if (Number.isNaN(value)) row.complete = false;
    }
    for (let i = 0; i < this.size; i++) {
      const value = numbers[this.number(i)];
      if (Number.isNaN(value) || (value === 0 && (row.complete || this.missing === "unstored"))) continue;
      row.places.push(i);
      row.values.push(value);
    }
    return row;
  }

  /* W of a row. */
  components(row) {
    return new Solver(this).components(row);
  }

  /* What components add to a row, as lengths w ||h||, which do not depend on their scale; the strongest first. */
  parts(row) {
    const w = Array.from(this.components(row));
    const lengths = w.map((value, c) => value * this.norms[c]);
    const total = sum(lengths);
    return lengths
      .map((length, component) => ({ component, weight: w[component], share: total > 0 ? length / total : 0 }))
      .sort((a, b) => b.share - a.share);
  }
}
