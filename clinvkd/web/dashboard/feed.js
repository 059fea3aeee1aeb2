// What the daemon does, followed live: a bounded picture of it, and word of changes once per frame.

import { ApiError, messageOf } from "./api.js";

const TEXT_KEPT = 2000; // characters of each running turn: the end of what it said
const ENDED_KEPT = 24;
const REQUESTS_KEPT = 200;
const LONGEST_PAUSE = 15_000; // milliseconds between attempts to connect

// Tells "change" with `detail`, a set of "connection", "snapshot", "turns", "requests", and "gap":
// requests may have been answered that it does not know.
export class Feed extends EventTarget {
  #api;
  #changed = new Set();
  #wanted = false;
  #stop = null;

  constructor(api) {
    super();
    this.#api = api;
    // A browser has six connections to a server for all its tabs, so a page that nobody sees, or
    // that is kept for the way back, must not hold one.
    document.addEventListener("visibilitychange", () => {
      if (this.#wanted) this.#connect();
    });
    this.#forget();
    this.connection = "off"; // "connecting", "live", "lost"
    this.problem = "";
  }

  #forget() {
    this.snapshot = null;
    this.received = 0; // when the snapshot came, on the clock of `performance.now()`
    this.turns = new Map(); // those that run, the oldest first
    this.ended = []; // the newest first
    this.requests = []; // the newest first
  }

  // Follow until `stop`, as long as the page can be seen; a lost connection is made again.
  start() {
    this.#wanted = true;
    this.#connect();
  }

  stop() {
    this.#wanted = false;
    this.#connect();
    this.#forget();
  }

  #connect() {
    this.#stop?.abort();
    this.#stop = null;
    if (this.#wanted && !document.hidden) {
      const controller = new AbortController();
      this.#stop = controller;
      this.#follow(controller.signal);
    } else {
      this.#connection("off");
    }
  }

  async #follow(signal) {
    let pause = 500;
    while (!signal.aborted) {
      if (this.connection !== "lost") this.#connection("connecting");
      try {
        for await (const event of this.#api.stream("api/v1/live", { signal })) {
          if (signal.aborted) return;
          if (this.connection !== "live") {
            // What ran when the connection was lost is told again if it still runs.
            this.turns.clear();
            this.#tell("gap");
            this.#connection("live");
            pause = 500;
          }
          this.#take(event.type, event.data);
        }
      } catch (error) {
        if (signal.aborted || (error instanceof ApiError && error.status === 401)) return;
        this.problem = messageOf(error);
      }
      this.#connection("lost");
      await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random())));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  #take(type, data) {
    switch (type) {
      case "snapshot":
        this.snapshot = data;
        this.received = performance.now();
        return this.#tell("snapshot");
      case "turn.started":
        this.turns.set(data.id, { ...data, text: "", characters: 0, ended: null });
        return this.#tell("turns");
      case "turn.text":
        return this.#hear(data);
      case "turn.ended":
        return this.#end(data);
      case "request":
        this.requests.unshift(data);
        this.requests.length = Math.min(this.requests.length, REQUESTS_KEPT);
        return this.#tell("requests");
    }
  }

  #hear({ id, text, dropped = 0 }) {
    const turn = this.turns.get(id);
    if (turn === undefined) return;
    turn.characters += text.length + dropped;
    turn.text = (dropped ? `${turn.text} … ${text}` : turn.text + text).slice(-TEXT_KEPT);
    this.#tell("turns");
  }

  #end(data) {
    const turn = this.turns.get(data.id);
    if (turn === undefined) return;
    this.turns.delete(data.id);
    turn.ended = data;
    this.ended.unshift(turn);
    this.ended.length = Math.min(this.ended.length, ENDED_KEPT);
    this.#tell("turns");
  }

  #connection(state) {
    if (this.connection === state) return;
    this.connection = state;
    if (state === "live") this.problem = "";
    this.#tell("connection");
  }

  // However many events come, what is shown is drawn at most once per frame.
  #tell(what) {
    if (this.#changed.size === 0) requestAnimationFrame(() => this.#flush());
    this.#changed.add(what);
  }

  #flush() {
    const detail = this.#changed;
    this.#changed = new Set();
    this.dispatchEvent(new CustomEvent("change", { detail }));
  }
}
