/* What a reader does with the page: asks, ranks, searches, opens and compares. All text goes in as text. */

const SHORT = 10, LONG = 60, COMPARED = 12, ANSWERED = 8;

const byId = (id) => document.getElementById(id);
const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

const short = (number) => String(Number(number.toPrecision(3)));

/* An element with properties, style and children, which may be text. */
function make(tag, properties = {}, ...children) {
  const { style = {}, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.style, style);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function button(className, text, onclick) {
  return make("button", { type: "button", className, onclick }, text);
}

/* A line of a list: a bar of this length between 0 and 1, text over it, and a number at its end. */
function line(bar, text, number = "") {
  const width = `${(100 * Math.max(0, Math.min(1, bar))).toFixed(1)}%`;
  const end = number ? make("em", {}, number) : null;
  const title = typeof text === "string" ? text : "";
  return make("li", {}, make("i", { style: { width } }), make("span", { title }, text), end);
}

class Page {
  constructor(model) {
    this.model = model;
    this.lambda = null;  // the order of the lists as they were written
    this.cards = new Map();
    this.open = new Set();
    for (const card of document.querySelectorAll(".component")) this.adopt(card, Number(card.dataset.component));
    this.prepareQuestion();
    this.prepareRanking();
    this.prepareSearch();
    this.prepareComparison();
    for (const element of document.querySelectorAll(".live")) element.hidden = false;
    this.follow();
    window.addEventListener("hashchange", () => this.follow());
  }

  /* --- asking */

  prepareQuestion() {
    const question = byId("question");
    if (!question) return;
    this.reader = new Reader(this.model);
    let waiting = 0;
    question.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.ask(question.value), 200);
    });
    byId("example").addEventListener("click", () => {
      question.value = this.example();
      this.ask(question.value);
    });
    byId("clear").addEventListener("click", () => {
      question.value = "";
      this.ask("");
      question.focus();
    });
  }

  /* Some strong features of a component, another one each time. */
  example() {
    const { model } = this;
    this.shown = ((this.shown ?? -1) + 1) % model.k;
    const features = model.ranking(this.shown, 5, null);
    if (model.labels) return features.map(({ place }) => model.label(place)).join(this.reader.longest < 2 ? " " : ", ");
    return features.map(({ place }) => `${model.label(place)} ${short(model.H[this.shown][place])}`).join("\n");
  }

  ask(text) {
    const answer = byId("answer");
    answer.replaceChildren();
    if (!text.trim()) return;
    try {
      answer.append(...this.answered(this.reader.read(text)));
    } catch (error) {
      answer.append(make("p", { className: "problem" }, error.message));
    }
  }

  answered({ row, found, unknown, how }) {
    const { model } = this;
    const positive = row.values.filter((value) => value > 0).length;
    if (model.beta <= 0 && !model.floor && positive < (row.complete ? model.size : row.values.length)) {
      return [make("p", { className: "problem" }, "The loss of this model needs rows without zeros.")];
    }
    const parts = model.parts(row).filter(({ share }) => share > 0);
    const result = [];
    if (parts.length) {
      const list = make("ol", { className: "parts" });
      for (const { component, weight, share } of parts.slice(0, ANSWERED)) {
        const name = button("link", model.names[component], () => this.show(component));
        const words = model.ranking(component, 6, null).map(({ place }) => model.label(place)).join(", ");
        list.append(line(share / parts[0].share, name, percent(share)));
        list.append(make("li", { className: "words" }, `W ${short(weight)}: ${words}`));
      }
      result.push(list);
      const rest = parts.slice(ANSWERED);
      const together = percent(sum(rest.map(({ share }) => share)));
      if (rest.length) result.push(make("p", { className: "quiet" }, `${rest.length} more with ${together} together.`));
    } else {
      result.push(make("p", {}, "No component answers to that."));
    }
    const times = ({ label, value }) => (value === 1 ? label : `${label} \u00d7 ${short(value)}`);
    if (found.length) result.push(this.named("Known: ", found.map(times)));
    if (unknown.length) result.push(this.named("Not among the features: ", unknown));
    result.push(make("p", { className: "quiet" }, `${how} Shares are those of what components add to it.`));
    return result;
  }

  named(what, names, most = 40) {
    const more = names.length > most ? `, and ${names.length - most} more` : "";
    return make("p", {}, make("b", {}, what), names.slice(0, most).join(", ") + more);
  }

  /* #ask=some text asks, #component=3 shows the third. */
  follow() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("ask") && this.reader) {
      byId("question").value = asked.get("ask");
      this.ask(byId("question").value);
    }
    const number = Number(asked.get("component"));
    if (Number.isInteger(number) && number >= 1 && number <= this.model.k) this.show(number - 1);
  }

  /* --- components */

  /* Make a card answer to clicks. */
  adopt(card, c) {
    const name = card.querySelector("h3").firstChild;
    const opener = button("link", name.data.trim(), () => this.toggle(c));
    opener.setAttribute("aria-expanded", "false");
    name.replaceWith(opener);
    this.cards.set(c, card);
  }

  /* The card of a component, made if the page was written without it. */
  card(c) {
    if (!this.cards.has(c)) {
      const head = make("h3", {}, this.model.names[c], make("span", {}, percent(this.model.shares[c])));
      const card = make("div", { className: "card component" }, head, make("ol", { className: "features" }));
      byId("components").append(card);
      this.adopt(card, c);
      this.list(c);
    }
    return this.cards.get(c);
  }

  toggle(c) {
    const card = this.card(c), opens = !this.open.has(c);
    if (opens) this.open.add(c);
    else this.open.delete(c);
    card.classList.toggle("open", opens);
    card.querySelector("h3 button").setAttribute("aria-expanded", String(opens));
    card.querySelectorAll(".detail").forEach((detail) => detail.remove());
    this.list(c);
    if (opens) card.append(this.detail(c));
  }

  show(c) {
    const card = this.card(c);
    card.hidden = false;
    if (!this.open.has(c)) this.toggle(c);
    card.scrollIntoView({ block: "nearest" });
    card.querySelector("h3 button").focus({ preventScroll: true });
  }

  /* Write the features of a card anew. */
  list(c) {
    const { model } = this, opened = this.open.has(c);
    const features = model.ranking(c, opened ? LONG : SHORT, this.lambda);
    const list = this.cards.get(c).querySelector("ol.features");
    const number = (p) => (opened ? percent(p) : "");
    list.replaceChildren(...features.map(({ place, p, bar }) => line(bar, model.label(place), number(p))));
    if (!features.length) list.append(make("li", {}, "nothing: all its weights are zero"));
  }

  detail(c) {
    const { model } = this;
    const samples = model.samples[c].map(([label, strength, share]) => line(strength, label, percent(share)));
    const alike = Array.from({ length: model.k }, (_, d) => d)
      .filter((d) => d !== c && model.cosine(c, d) > 0)
      .sort((a, b) => model.cosine(c, b) - model.cosine(c, a))
      .slice(0, 5)
      .map((d) => button("small", `${model.names[d]} (${model.cosine(c, d).toFixed(2)})`, () => this.compare(c, d)));
    return make("div", { className: "detail" },
      make("h4", {}, "Strongest samples"),
      make("p", { className: "quiet" }, "Bars for what the component adds to them, numbers for its share in them."),
      make("ol", {}, ...samples),
      alike.length ? make("h4", { className: "screen" }, "Compare with those most alike (cosine)") : null,
      make("div", { className: "tools screen" }, ...alike));
  }

  /* --- ranking */

  prepareRanking() {
    const slider = byId("relevance"), { model } = this;
    if (!slider) return;
    const said = byId("relevance-value"), reset = byId("relevance-reset"), how = byId("relevance-how");
    const atFirst = how.textContent;
    const rank = (lambda) => {
      this.lambda = lambda;
      said.textContent = Number(slider.value).toFixed(2);
      reset.hidden = lambda === null;
      how.textContent = lambda === null ? atFirst : "Bars for p, relative to the largest of the list.";
      this.cards.forEach((card, c) => { if (!card.hidden) this.list(c); });
    };
    slider.addEventListener("input", () => rank(Number(slider.value)));
    reset.addEventListener("click", () => {
      slider.value = model.relevance;
      rank(null);
    });
  }

  /* --- searching */

  prepareSearch() {
    const search = byId("search");
    if (!search) return;
    search.addEventListener("input", () => this.search(search.value.trim().toLowerCase()));
  }

  /* Show components of that name, then those in which features of that name are strong, the strongest first. */
  search(text) {
    const { model } = this, found = byId("found");
    const label = (place) => model.label(place).toLowerCase();
    let matches = [];
    if (text) {
      const all = Array.from({ length: model.size }, (_, place) => place);
      for (const test of [(name) => name === text, (name) => name.startsWith(text), (name) => name.includes(text)]) {
        if (!matches.length) matches = all.filter((place) => test(label(place)));
      }
    }
    const weights = model.H.map((_, c) => sum(matches.map((place) => model.p(c, place))));
    const most = Math.max(0, ...weights);
    const named = model.names.map((name) => Boolean(text) && name.toLowerCase().includes(text));
    const shown = new Set(named.flatMap((is, c) => (!text || is || (most > 0 && weights[c] >= most / 50) ? [c] : [])));
    const ranked = [...shown].sort((a, b) => named[b] - named[a] || weights[b] - weights[a]);
    if (text) ranked.forEach((c) => this.card(c));
    this.cards.forEach((card, c) => {
      card.querySelectorAll(".hit").forEach((hit) => hit.remove());
      if (card.hidden && shown.has(c)) {
        card.hidden = false;
        this.list(c);
      }
      card.hidden = !shown.has(c);
      card.style.order = text ? ranked.indexOf(c) : "";
      if (text && weights[c] > 0 && !card.hidden) {
        const what = matches.length === 1 ? model.label(matches[0]) : `${matches.length} features`;
        card.querySelector("h3").after(make("p", { className: "hit" }, `${what}: ${percent(weights[c])}`));
      }
    });
    found.textContent = !text ? "" : shown.size ? `${shown.size} of ${model.k} components` : "Nothing of that name.";
  }

  /* --- comparing */

  prepareComparison() {
    const pickers = [byId("first"), byId("second")];
    if (!pickers[0]) return;
    const change = () => {
      const [a, b] = pickers.map((picker) => picker.value);
      byId("comparison").replaceChildren(...(a === "" || b === "" ? [] : [this.comparison(Number(a), Number(b))]));
    };
    for (const picker of pickers) {
      picker.append(make("option", { value: "" }, "\u2013"));
      this.model.names.forEach((name, c) => picker.append(make("option", { value: c }, name)));
      picker.addEventListener("change", change);
    }
    this.compare = (a, b) => {
      [pickers[0].value, pickers[1].value] = [a, b];
      change();
      byId("comparing").scrollIntoView({ block: "start" });
    };
  }

  comparison(a, b) {
    const { model } = this, names = [model.names[a], model.names[b]];
    const lists = model.compared(a, b, COMPARED);
    const largest = Math.max(...lists.flat().flatMap(({ pair }) => pair));
    const heads = [`More in ${names[0]}`, "In both", `More in ${names[1]}`];
    const bar = (p, which) => make("i", {
      className: which ? "other" : "",
      title: `${names[which]}: ${percent(p)}`,
      style: { width: `${(100 * p) / largest}%` },
    });
    const columns = lists.map((features, i) => {
      const lines = features.map(({ place, pair }) =>
        make("li", {}, make("span", { title: model.label(place) }, model.label(place)), ...pair.map(bar)));
      const list = make("ol", { className: "pairs" }, ...(lines.length ? lines : [make("li", {}, "nothing")]));
      return make("div", {}, make("h4", {}, heads[i]), list);
    });
    const [one, two] = names.map((name, which) => make("b", { className: which ? "two" : "one" }, name));
    const said = `Cosine ${model.cosine(a, b).toFixed(3)}. Bars for the share of a feature in `;
    return make("div", {}, make("p", {}, said, one, " and in ", two, "."), make("div", { className: "three" }, ...columns));
  }
}

const model = new Model(JSON.parse(byId("model").textContent));

/* For tests, and for whoever opens the console. */
window.nmf = {
  model,
  page: new Page(model),
  transform: (rows) => rows.map((row) => Array.from(model.components(Array.isArray(row) ? model.rowOf(row) : row))),
};
