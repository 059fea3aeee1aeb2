// The first view: how the daemon is, its backends with their agents, and what is being said.

import { element, setText } from "./dom.js";
import { duration, bytes, number } from "./format.js";
import { Pool } from "./pool.js";
import { Turns } from "./turns.js";

const FIGURES = [
  ["Running turns", (s, feed) => number(feed.turns.size)],
  ["Waiting", (s) => number(s.queue.waiting)],
  ["Requests", (s) => number(s.requests_in_progress)],
  ["Agents", (s) => number(s.agents.length)],
  ["Memory of agents", (s) => bytes(sum(s.agents, (agent) => agent.memory_bytes ?? 0))],
  ["Up for", (s, feed) => duration(Math.floor(s.uptime_seconds + passed(feed)))],
];

const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);

// Seconds since the snapshot.
const passed = (feed) => (performance.now() - feed.received) / 1000;

export function overview({ feed, announce }) {
  const values = FIGURES.map(() => element("dd"));
  const about = element("p", { class: "quiet" }, "Waiting for the daemon.");
  const pool = new Pool(announce);
  const turns = new Turns();
  const node = element("div", { class: "view" },
    element("div", { class: "view-head" },
      element("h1", { tabindex: "-1" }, "Overview"), about),
    element("dl", { class: "figures" }, FIGURES.map(([name], index) =>
      element("div", { class: "figure" }, element("dt", {}, name), values[index]))),
    element("div", { class: "columns" }, pool.node, turns.node));
  let timer = null;

  function draw(changed) {
    if (changed.has("turns")) turns.update(feed);
    const snapshot = feed.snapshot;
    if (snapshot === null) return;
    FIGURES.forEach(([, of], index) => setText(values[index], of(snapshot, feed)));
    setText(about, `clinvk ${snapshot.version}`);
    if (changed.has("snapshot")) pool.update(snapshot, passed(feed));
  }

  return {
    title: "Overview",
    node,
    enter() {
      // Ages go on between snapshots, which come only when something changes.
      timer ??= setInterval(() => draw(new Set(["snapshot", "turns"])), 1000);
    },
    leave() {
      clearInterval(timer);
      timer = null;
    },
    close() {
      this.leave();
    },
    update: draw,
  };
}
