// Stacked bars per day, drawn as SVG. What they show stands in a table beside them, too.

import { drawing, element } from "./dom.js";

const HEIGHT = 240;
const MARGIN = { top: 12, right: 8, bottom: 24, left: 48 };
const STEPS = [1, 2, 4, 8, 10];
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

export const COLOURS = 8; // classes `series-0` to `series-7` of the style sheet

export class Chart {
  #picture = element("div", { class: "chart" });
  #observer = new ResizeObserver(() => this.#draw());
  #days = [];
  #series = [];
  #format = String;
  #title = "";

  constructor() {
    this.node = this.#picture;
    this.#observer.observe(this.#picture);
  }

  // `series` is a list of `{ name, values }` with one value per day; `format` writes a value.
  show(title, days, series, format) {
    this.#title = title;
    this.#days = days;
    this.#series = series;
    this.#format = format;
    this.#draw();
  }

  close() {
    this.#observer.disconnect();
  }

  #draw() {
    const width = Math.floor(this.#picture.clientWidth);
    if (width === 0 || this.#days.length === 0) return;
    const totals = this.#days.map((_, day) => this.#sum(day, this.#series.length));
    const top = ceiling(Math.max(...totals));
    const across = (width - MARGIN.left - MARGIN.right) / this.#days.length;
    const up = (HEIGHT - MARGIN.top - MARGIN.bottom) / top;
    const x = (day) => MARGIN.left + across * day;
    const y = (value) => HEIGHT - MARGIN.bottom - up * value;
    const bar = Math.max(1, Math.min(across * 0.72, 40));
    this.#picture.replaceChildren(
      drawing("svg", { width, height: HEIGHT, role: "img", "aria-label": this.#title },
        [0, 0.25, 0.5, 0.75, 1].map((part) => this.#line(y(top * part), top * part, width)),
        this.#days.map((day, index) =>
          this.#bar(index, x(index) + (across - bar) / 2, bar, y, totals[index])),
        this.#labels(x, across)));
  }

  #sum(day, count) {
    return this.#series.slice(0, count).reduce((total, { values }) => total + values[day], 0);
  }

  #line(y, value, width) {
    return drawing("g", {},
      drawing("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }),
      drawing("text", { class: "tick", x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" },
        this.#format(value)));
  }

  #bar(day, left, width, y, total) {
    if (total === 0) return null;
    const parts = this.#series.map(({ values }, index) => {
      const below = this.#sum(day, index);
      const top = y(below + values[day]);
      return drawing("rect", {
        class: `series-${index % COLOURS}`, x: left, width, y: top, height: y(below) - top,
      });
    });
    const said = this.#series
      .filter(({ values }) => values[day])
      .map(({ name, values }) => `${name}: ${this.#format(values[day])}`);
    return drawing("g", {},
      drawing("title", {}, [named(this.#days[day]), ...said].join("\n")), parts);
  }

  #labels(x, room) {
    const every = Math.ceil(56 / room);
    return this.#days
      .map((day, index) => [day, index])
      .filter(([, index]) => index % every === 0)
      .map(([day, index]) => drawing("text",
        { class: "tick", x: x(index) + room / 2, y: HEIGHT - 6, "text-anchor": "middle" },
        named(day)));
  }
}

export const named = (day) => DAY.format(new Date(`${day}T00:00:00Z`));

// A round number that is not below the value.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * STEPS.find((step) => step * power >= value * (1 - 1e-9));
}
