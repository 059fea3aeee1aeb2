// What was used: a chart per day, and sums per backend, model or key.

import { messageOf } from "./api.js";
import { Chart, COLOURS, named } from "./chart.js";
import { element, scrolled, setText } from "./dom.js";
import { compact, money, number, plural } from "./format.js";
import { labelled } from "./sessions.js";

const PERIODS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]];
const GROUPS = [["backend", "Backend"], ["key", "Key"], ["model", "Model"]];
const NAMELESS = { key: "without a key", model: "not told", backend: "" };
const MEASURES = {
  requests: { title: "Turns", of: (entry) => entry.requests, format: compact },
  input: { title: "Tokens in", of: (entry) => entry.token_usage.input_tokens, format: compact },
  output: { title: "Tokens out", of: (entry) => entry.token_usage.output_tokens, format: compact },
  cost: { title: "Cost", of: (entry) => entry.cost_usd, format: money },
  errors: { title: "Errors", of: (entry) => entry.errors, format: compact },
};
const DAY = 86_400_000; // milliseconds

export function usage({ api }) {
  return new Usage(api);
}

class Usage {
  title = "Usage";
  #api;
  #asking = null;
  #answer = null;
  #period = select("period", PERIODS, "30", () => this.#load());
  #group = select("group", GROUPS, "backend", () => this.#load());
  #measure = select(
    "measure", Object.entries(MEASURES).map(([name, { title }]) => [name, title]), "requests",
    () => this.#draw());
  #problem = element("p", { class: "problem", role: "alert" });
  #chart = new Chart();
  #legend = element("ul", { class: "legend" });
  #figures = element("dl", { class: "figures" });
  #sums = scrolled("Table of sums");
  #days = scrolled("Table of days");

  constructor(api) {
    this.#api = api;
    this.node = element("div", { class: "view" },
      element("div", { class: "view-head" }, element("h1", { tabindex: "-1" }, "Usage"),
        element("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
          labelled("Period", this.#period), labelled("By", this.#group),
          labelled("Show", this.#measure))),
      this.#problem, this.#figures,
      element("section", { class: "card", "aria-label": "Per day" },
        this.#chart.node, this.#legend,
        element("details", { class: "folded" }, element("summary", {}, "Days as a table"),
          this.#days)),
      element("section", { class: "card", "aria-label": "Sums" }, this.#sums,
        element("p", { class: "quiet small" },
          "Days are those of UTC. Cost is what agents tell, else an estimate (est.) by a table of "
          + "prices; what unpriced turns cost is not known and not in it. It is no bill.")));
  }

  enter() {
    this.#load();
  }

  close() {
    this.#asking?.abort();
    this.#chart.close();
  }

  async #load() {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    const from = day(Date.now() - (Number(this.#period.value) - 1) * DAY);
    try {
      const query = new URLSearchParams({ from, by: `day,${this.#group.value}` });
      this.#answer = await this.#api.json(`api/v1/usage?${query}`, { signal });
      setText(this.#problem, "");
      this.#draw();
    } catch (error) {
      if (!signal.aborted) setText(this.#problem, messageOf(error));
    }
  }

  #draw() {
    if (this.#answer === null) return;
    const { usage: entries, from, to, total } = this.#answer;
    const group = this.#group.value;
    const measure = MEASURES[this.#measure.value];
    const days = daysBetween(from, to);
    const sums = summed(entries, group);
    const series = seriesOf(entries, sums, group, days, measure.of);
    this.#chart.show(`${measure.title} per day, by ${group}`, days, series, measure.format);
    this.#legend.replaceChildren(...series.map(({ name }, index) => element("li", {},
      element("span", { class: `swatch series-${index % COLOURS}` }), name)));
    this.#figures.replaceChildren(...figures(total));
    this.#sums.replaceChildren(sumsTable(sums, group));
    this.#days.replaceChildren(daysTable(days, series, measure));
  }
}

function select(id, options, value, changed) {
  return element("select", { id, onchange: changed }, options.map(([name, title]) =>
    element("option", { value: name, selected: name === value }, title)));
}

const day = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);

function daysBetween(from, to) {
  const days = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY) days.push(day(at));
  return days;
}

// The entries of each name added up over the days, the most used first.
function summed(entries, group) {
  const sums = new Map();
  for (const entry of entries) {
    const name = entry[group] || NAMELESS[group];
    const sum = sums.get(name) ?? {
      name, requests: 0, errors: 0, input: 0, output: 0, cost: 0, estimated: 0, unpriced: 0,
    };
    sum.requests += entry.requests;
    sum.errors += entry.errors;
    sum.input += entry.token_usage.input_tokens;
    sum.output += entry.token_usage.output_tokens;
    sum.cost += entry.cost_usd;
    sum.estimated += entry.estimated_cost_usd;
    sum.unpriced += entry.unpriced_requests;
    sums.set(name, sum);
  }
  return [...sums.values()].sort((a, b) => b.requests - a.requests);
}

// One series per name, with one value per day; where there are too many, the last holds the rest.
function seriesOf(entries, sums, group, days, of) {
  const names = sums.map(({ name }) => name);
  const own = names.length > COLOURS ? names.slice(0, COLOURS - 1) : names;
  const place = new Map(own.map((name, index) => [name, index]));
  const index = new Map(days.map((each, at) => [each, at]));
  const rest = names.length > own.length ? ["others"] : [];
  const series = [...own, ...rest].map((name) => ({ name, values: days.map(() => 0) }));
  for (const entry of entries) {
    const at = place.get(entry[group] || NAMELESS[group]) ?? own.length;
    series[at].values[index.get(entry.day)] += of(entry);
  }
  return series;
}

// What is known of a cost, and in words what is not.
function cost(dollars, estimated, unpriced) {
  const notes = [estimated > 0 && "est.", unpriced > 0 && `+ ${plural(unpriced, "unpriced turn")}`];
  const note = notes.filter(Boolean).join(" ");
  return [money(dollars), note && element("span", { class: "note" }, ` ${note}`)];
}

function figures(total) {
  const { token_usage: used } = total;
  return [
    ["Turns", number(total.requests)],
    ["Errors", number(total.errors)],
    ["Tokens in", compact(used.input_tokens)],
    ["of them cached", compact(used.cached_tokens)],
    ["Tokens out", compact(used.output_tokens)],
    ["Cost", cost(total.cost_usd, total.estimated_cost_usd, total.unpriced_requests)],
  ].map(([name, value]) =>
    element("div", { class: "figure" }, element("dt", {}, name), element("dd", {}, value)));
}

function sumsTable(sums, group) {
  const heads = ["Turns", "Errors", "Tokens in", "Tokens out", "Cost"];
  const [, head] = GROUPS.find(([name]) => name === group);
  return table(`Sums by ${group}`, [head, ...heads], sums.map((sum) => [
    sum.name, number(sum.requests), number(sum.errors), number(sum.input), number(sum.output),
    cost(sum.cost, sum.estimated, sum.unpriced),
  ]));
}

function daysTable(days, series, { title, format }) {
  const rows = days.map((each, index) =>
    [named(each), ...series.map(({ values }) => format(values[index]))]);
  return table(`${title} per day`, ["Day", ...series.map(({ name }) => name)], rows.toReversed());
}

function table(caption, heads, rows) {
  return element("table", {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, heads.map((head) =>
      element("th", { scope: "col" }, head)))),
    element("tbody", {}, rows.map(([first, ...others]) => element("tr", {},
      element("th", { scope: "row" }, first),
      others.map((value) => element("td", {}, value))))));
}
