// The backends, and each of their agents as a box.

import { element, Keyed, setText } from "./dom.js";
import { bytes, duration, number, plural } from "./format.js";
import { folded } from "./message.js";

// What a state means, for those who wonder.
const STATES = {
  starting: "is being started",
  spare: "ready, without a conversation",
  idle: "waits for the next turn of its conversation",
  parked: "keeps a conversation that may go on",
  busy: "works on a turn",
  stopping: "is being ended",
};
const MOST_BOXES = 60; // per backend; a page of a thousand boxes tells nobody anything

export class Pool {
  #list = element("div", { class: "backends" });
  #backends = new Keyed(this.#list, () => new BackendCard());
  #announce;
  #down = null; // names of backends that cannot be used

  constructor(announce) {
    this.#announce = announce;
    this.node = element("section", { "aria-labelledby": "backends-title" },
      element("h2", { id: "backends-title" }, "Backends and agents"), this.#list);
  }

  update(snapshot, passed) {
    const agents = Map.groupBy(snapshot.agents, (agent) => agent.backend);
    // Those that can be used stand first; else the order is that of the configuration.
    const backends = snapshot.backends.toSorted((a, b) => b.available - a.available);
    this.#backends.show(
      backends.map((backend) => ({
        ...backend,
        agents: agents.get(backend.name) ?? [],
        limit: snapshot.limits[backend.name]?.agents,
        passed,
      })),
      (backend) => backend.name,
    );
    this.#tellChanges(snapshot.backends);
  }

  #tellChanges(backends) {
    const down = new Set(backends.filter((each) => !each.available).map((each) => each.name));
    const before = this.#down;
    this.#down = down;
    if (before === null) return;
    const fallen = [...down].filter((name) => !before.has(name));
    const risen = [...before].filter((name) => !down.has(name));
    if (fallen.length) this.#announce(`Not available: ${fallen.join(", ")}.`);
    else if (risen.length) this.#announce(`Available again: ${risen.join(", ")}.`);
  }
}

class BackendCard {
  #name = element("h3");
  #about = element("span", { class: "quiet" });
  #badge = element("span", { class: "badge" });
  #figures = element("p", { class: "quiet small" });
  #reason = element("span");
  #looked = element("p");
  #why = folded("", this.#looked);
  #warnings = element("ul", { class: "warnings small" });
  #boxes = element("ul", { class: "agents" });
  #more = element("p", { class: "quiet small" });
  #agents = new Keyed(this.#boxes, () => new AgentBox());
  #warned = new Keyed(this.#warnings, (text) => ({ node: element("li", {}, text), update() {} }));

  constructor() {
    this.#why.classList.add("reason");
    this.#why.querySelector("summary").append(this.#reason);
    this.node = element("article", { class: "card backend" },
      element("header", {}, this.#name, this.#about, this.#badge),
      this.#why, this.#figures, this.#boxes, this.#more, this.#warnings);
  }

  // The first words say what is wrong; where was looked for it is for those who want to mend it.
  #explain(reason) {
    const [what, where] = reason.split(/ (?=\()/, 2);
    setText(this.#reason, what);
    setText(this.#looked, where ?? "");
    this.#why.hidden = reason === "";
  }

  update(backend) {
    const { pool } = backend;
    setText(this.#name, backend.name);
    const about = [backend.type, backend.version, backend.model];
    setText(this.#about, about.filter(Boolean).join(" · "));
    this.node.dataset.available = String(backend.available);
    this.#badge.dataset.state = backend.available ? "good" : "bad";
    setText(this.#badge, backend.available ? "available" : "not available");
    this.#explain(backend.reason ?? "");
    setText(this.#figures, figures(pool, backend.limit));
    this.#figures.hidden = !backend.available;
    const { agents } = backend;
    this.#boxes.setAttribute("aria-label", `Agents of ${backend.name}`);
    this.#boxes.hidden = agents.length === 0;
    this.#agents.show(
      agents.slice(0, MOST_BOXES).map((agent) => ({ ...agent, passed: backend.passed })),
      (agent) => agent.id);
    const hidden = agents.length - MOST_BOXES;
    setText(this.#more, hidden > 0 ? `${number(hidden)} more` : "");
    this.#more.hidden = hidden <= 0;
    this.#warned.show(backend.warnings, (text) => text);
    this.#warnings.hidden = backend.warnings.length === 0;
  }
}

function figures(pool, limit) {
  const turns = Object.values(pool.turns).reduce((total, count) => total + count, 0);
  const parts = [`${number(pool.agents)}${limit ? ` of ${number(limit)}` : ""} agents`];
  parts.push(plural(turns, "turn"));
  if (pool.parked) parts.push(`${number(pool.parked)} parked`);
  if (pool.queued) parts.push(`${number(pool.queued)} waiting`);
  if (pool.restarts) parts.push(plural(pool.restarts, "restart"));
  return parts.join(" · ");
}

class AgentBox {
  #state = element("span", { class: "agent-state" });
  #pid = element("span", { class: "agent-pid" });
  #turns = element("span");
  #size = element("span");

  constructor() {
    this.node = element("li", { class: "agent" },
      element("span", { class: "agent-line" }, this.#state, this.#pid),
      element("span", { class: "agent-line quiet" }, this.#turns, this.#size));
  }

  update(agent) {
    this.node.dataset.state = agent.state;
    this.node.title = STATES[agent.state] ?? "";
    setText(this.#state, agent.state);
    setText(this.#pid, agent.pid === null ? "no process" : `pid ${agent.pid}`);
    setText(this.#turns, plural(agent.turns, "turn"));
    const age = duration(Math.floor(agent.age_seconds + agent.passed));
    setText(this.#size, [bytes(agent.memory_bytes ?? NaN), age].filter(Boolean).join(" · "));
  }
}
