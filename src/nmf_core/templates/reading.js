/* What a reader has typed or pasted, as a row of the model: numbers, names with values, or words. */

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const UNKNOWN = /^(?:nan|na|n\/a|null|none|\?)?$/i;
const LONGEST_PHRASE = 5;

class Reader {
  constructor(model) {
    this.model = model;
    this.places = new Map();  // as they are written, in lower case, and as words with blanks between them
    this.longest = 1;
    const all = Array.from({ length: model.size }, (_, place) => place);
    for (const form of [(label) => label, (label) => label.toLowerCase(), (label) => this.wordsOf(label).join(" ")]) {
      for (const place of all) {
        const name = form(model.label(place));
        if (name && !this.places.has(name)) this.places.set(name, place);
      }
    }
    if (!model.labels) return;
    for (const place of all) this.longest = Math.max(this.longest, this.wordsOf(model.label(place)).length);
    this.longest = Math.min(this.longest, LONGEST_PHRASE);
  }

  /* Words in lower case; what is neither a letter nor a digit ends one. */
  wordsOf(text) {
    return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) || [];
  }

  find(name) {
    name = name.trim().replace(/^(["'])(.*)\1$/, "$2");
    return this.places.get(name) ?? this.places.get(name.toLowerCase());
  }

  /* {row, found, unknown, how} of a text: the row, what it was found to say, and names that the model does not know.
   * Throws an Error with a message for the reader. */
  read(text) {
    return this.asNumbers(text) || this.asPairs(text) || this.asWords(text);
  }

  asNumbers(text) {
    const { model } = this;
    const cells = text.trim().split(/ *[,;\t] *[\r\n]*|[ \r\n]+/);
    if (!cells.some((cell) => NUMBER.test(cell)) || !cells.every((cell) => NUMBER.test(cell) || UNKNOWN.test(cell))) {
      return null;
    }
    if (cells.length !== model.nFeatures) {
      if (cells.length % 2 === 0 && this.pairsIn(text)) return null;
      throw new Error(`These are ${cells.length} numbers; a row has ${model.nFeatures}.`);
    }
    const numbers = cells.map((cell) => (NUMBER.test(cell) ? Number(cell) : NaN));
    if (model.missing !== "nan" && numbers.some(Number.isNaN)) throw new Error("A number is missing.");
    const row = model.rowOf(this.checked(numbers));
    const known = model.missing ? `, ${row.complete ? numbers.length : row.places.length} of them known` : "";
    return { row, found: [], unknown: [], how: `${numbers.length} numbers${known}.` };
  }

  checked(numbers) {
    if (numbers.some((number) => number < 0)) throw new Error("A number is negative.");
    if (numbers.some((number) => Math.abs(number) === Infinity)) throw new Error("A number is too large.");
    return numbers;
  }

  /* [name, value] of every line, or between commas and semicolons, or of every second word; null if it is not that. */
  pairsIn(text) {
    const whole = (pieces) => {
      const pairs = pieces
        .filter((piece) => piece.trim())
        .map((piece) => piece.match(/^\s*(.*\S)\s*[\s,;:=]\s*(\S+)\s*$/))
        .map((match) => match && [match[1].replace(/[,;:=]+$/, ""), match[2]]);
      return pairs.every((pair) => pair && NUMBER.test(pair[1])) ? pairs : null;
    };
    const tokens = text.split(/[\s,;:=]+/).filter(Boolean);
    const names = tokens.filter((_, i) => i % 2 === 0);
    const numbered = names.some((name) => NUMBER.test(name));
    const byTwo = numbered ? [] : names.map((name, i) => `${name} ${tokens[2 * i + 1]}`);
    for (const pieces of [text.split(/[\r\n]+/), text.split(/[\r\n,;]+/), byTwo]) {
      const pairs = whole(pieces);
      const known = pairs && pairs.filter(([name]) => this.find(name) !== undefined).length;
      if (known && 2 * known >= pairs.length) return pairs;
    }
    return null;
  }

  asPairs(text) {
    const pairs = this.pairsIn(text);
    if (!pairs) return null;
    const counts = new Map(), unknown = [];
    this.checked(pairs.map(([, value]) => Number(value)));
    for (const [name, value] of pairs) {
      const place = this.find(name);
      if (place === undefined) unknown.push(name);
      else counts.set(place, (counts.get(place) || 0) + Number(value));
    }
    const rest = this.model.missing ? "nothing is known of others" : "others are zero";
    return this.answer(counts, unknown, (place, value) => value, `Names and values; ${rest}.`);
  }

  asWords(text) {
    const { model } = this;
    if (!model.labels) {
      throw new Error(`That is neither ${model.nFeatures} numbers nor pairs of a feature's number and its value.`);
    }
    const counts = new Map(), unknown = new Set();
    const add = (place) => counts.set(place, (counts.get(place) || 0) + 1);
    // words with digits that the model does not know are read as their letters
    const words = this.wordsOf(text).flatMap((word) =>
      this.places.has(word) ? [word] : word.match(/[\p{L}\p{M}]+/gu) || []);
    const used = new Set();
    for (let length = this.longest; length >= 1; length--) {
      for (let i = 0; i + length <= words.length; i++) {
        const place = this.places.get(words.slice(i, i + length).join(" "));
        if (place === undefined) continue;
        add(place);
        for (let j = i; j < i + length; j++) used.add(j);
      }
    }
    words.forEach((word, i) => { if (!used.has(i)) unknown.add(word); });
    const worth = model.worth ? (place, count) => count * model.worth[place] : (place, count) => count;
    const how = model.worth
      ? "A word counts as much as it does in the data, on average, where it occurs."
      : "Words are counted.";
    return this.answer(counts, [...unknown], worth, model.missing ? `${how} Nothing is known of others.` : how);
  }

  answer(counts, unknown, worth, how) {
    const places = [...counts.keys()].sort((a, b) => a - b);
    const values = places.map((place) => worth(place, counts.get(place)));
    const found = [...counts].map(([place, value]) => ({ label: this.model.label(place), value }));
    return { row: { places, values, complete: !this.model.missing }, found, unknown, how };
  }
}
