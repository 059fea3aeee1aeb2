// The answer of one backend in the playground.

import { element, setText } from "./dom.js";
import { duration, money, tokens, took } from "./format.js";
import { folded } from "./message.js";
import { StreamedText } from "./streamed_text.js";

export class Lane {
  #began = performance.now();
  #first = null; // milliseconds until the first text
  #usage = null;
  #over = false;
  #badge = element("span", { class: "badge", "data-state": "busy" }, "running");
  #model = element("span", { class: "quiet" });
  #text = new StreamedText();
  #thoughts = new StreamedText();
  #thinking = folded("Reasoning", this.#thoughts.node);
  #step = element("p", { class: "quiet small" });
  #problem = element("p", { class: "reason", hidden: true });
  #figures = Object.fromEntries(
    ["First text", "Time", "Tokens", "Cost"].map((name) => [name, element("dd", {}, "–")]));

  constructor(name) {
    this.#thinking.hidden = true;
    this.node = element("section", { class: "card lane", "aria-label": `Answer of ${name}` },
      element("header", {}, element("h2", {}, name), this.#model, this.#badge),
      this.#thinking,
      element("div", { class: "lane-text", tabindex: "0", role: "region",
        "aria-label": `Text of ${name}` }, this.#text.node),
      this.#step, this.#problem,
      element("dl", { class: "lane-figures" }, Object.entries(this.#figures).map(([title, value]) =>
        element("div", {}, element("dt", {}, title), value))));
    this.#clock();
  }

  // An event of the stream that is of this backend.
  take({ type, content }) {
    switch (type) {
      case "init":
        return setText(this.#model, content.model ?? "");
      case "message":
        if (this.#first === null) {
          this.#first = performance.now() - this.#began;
          setText(this.#figures["First text"], `${Math.round(this.#first)} ms`);
        }
        return this.#text.add(content.text);
      case "thinking":
        this.#thinking.hidden = false;
        return this.#thoughts.add(content.text);
      case "tool_use":
        return setText(this.#step, `uses ${content.tool_name}`);
      case "progress":
        return setText(this.#step, content.message ?? content.stage);
      case "token_usage":
        return this.#used(content);
      case "error":
        setText(this.#problem, content.message);
        this.#problem.hidden = false;
        return undefined;
      case "complete":
        return this.#end(content);
    }
  }

  // What the answer as a whole says of it; the cost stands only there.
  conclude(result) {
    this.#used(result.token_usage);
    const cost = result.cost_usd;
    setText(this.#figures.Cost, cost === undefined ? "not told" : money(cost));
    if (!this.#over) this.#end(result);
    if (result.error && this.#problem.hidden) {
      setText(this.#problem, result.error);
      this.#problem.hidden = false;
    }
  }

  stop() {
    if (this.#over) return;
    this.#close();
    this.#state("quiet", "stopped");
  }

  #end(content) {
    this.#close();
    setText(this.#step, "");
    setText(this.#figures.Time, took(content.duration_ms ?? 0));
    if (content.token_usage) this.#used(content.token_usage);
    if (content.exit_code === 0) this.#state("good", "completed");
    else this.#state("bad", "failed");
  }

  #close() {
    this.#over = true;
    this.#text.flush();
    this.#thoughts.flush();
  }

  #used(usage) {
    this.#usage = usage ?? this.#usage;
    if (this.#usage) setText(this.#figures.Tokens, tokens(this.#usage));
  }

  #state(state, text) {
    this.#badge.dataset.state = state;
    setText(this.#badge, text);
  }

  #clock() {
    if (this.#over) return;
    setText(this.#figures.Time, duration(Math.floor((performance.now() - this.#began) / 1000)));
    setTimeout(() => this.#clock(), 1000);
  }
}
