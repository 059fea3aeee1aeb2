// Turns that run, with their text as it comes, and those that have just ended.

import { element, Keyed, setText } from "./dom.js";
import { duration, money, number, plural, tokens, took } from "./format.js";

const MOST_RUNNING = 24; // cards; more than a person can follow, and enough to fill any screen
const LEAST_SHOWN = 8; // cards, as long as there are ended turns to fill them
const TEXT_SHOWN = 700; // characters: more than the place has room for

const OUTCOMES = { completed: "good", failed: "bad", canceled: "quiet" };

export class Turns {
  #summary = element("p", { class: "quiet" });
  #list = element("ol", { class: "turns" });
  #cards = new Keyed(this.#list, (turn) => new TurnCard(turn));

  constructor() {
    this.node = element("section", { "aria-labelledby": "turns-title" },
      element("h2", { id: "turns-title" }, "Turns"), this.#summary, this.#list);
  }

  update(feed) {
    const running = [...feed.turns.values()].slice(-MOST_RUNNING).reverse();
    const ended = feed.ended.slice(0, Math.max(0, LEAST_SHOWN - running.length));
    setText(this.#summary, summary(feed.turns.size, running.length, ended.length));
    this.#cards.show([...running, ...ended], (turn) => turn.id);
  }
}

function summary(running, shown, ended) {
  if (running > shown) return `${number(running)} are running; the newest ${shown} are shown.`;
  if (running) return `${plural(running, "turn")} running.`;
  if (ended) return "None is running; these have just ended.";
  return "None is running. What is asked shows up here.";
}

class TurnCard {
  #name = element("a");
  #badge = element("span", { class: "badge" });
  #spent = element("span", { class: "quiet turn-spent" });
  #text = element("span");
  #problem = element("p", { class: "reason" });
  #started;

  constructor(turn) {
    this.#started = Date.parse(turn.started_at);
    const about = [turn.model, turn.way, turn.dialect, turn.key].filter(Boolean).join(" · ");
    this.node = element("li", { class: "card turn" },
      element("header", {},
        element("strong", {}, this.#name), element("span", { class: "quiet" }, about), this.#badge),
      element("p", { class: "turn-prompt", title: turn.prompt }, turn.prompt),
      element("p", { class: "turn-text" }, this.#text),
      this.#problem, this.#spent);
  }

  update(turn) {
    const { ended } = turn;
    setText(this.#name, turn.backend);
    // A session is there once a turn of it has completed.
    if (turn.session_id && (turn.way === "continue" || ended?.outcome === "completed")) {
      this.#name.href = `#/sessions/${turn.session_id}`;
    }
    setText(this.#text, turn.text.slice(-TEXT_SHOWN));
    this.#badge.dataset.state = ended ? OUTCOMES[ended.outcome] ?? "quiet" : "busy";
    setText(this.#badge, ended?.outcome ?? "running");
    setText(this.#spent, ended ? spent(ended) : this.#running(turn));
    setText(this.#problem, ended?.error?.message ?? "");
    this.#problem.hidden = !ended?.error;
  }

  #running(turn) {
    const seconds = Math.max(0, (Date.now() - this.#started) / 1000);
    return `${duration(Math.floor(seconds))} · ${plural(turn.characters, "character")}`;
  }
}

function spent(ended) {
  const cost = ended.cost_usd ? money(ended.cost_usd) : "";
  const time = took(ended.duration_seconds * 1000);
  return [time, tokens(ended.usage), cost].filter(Boolean).join(" · ");
}
