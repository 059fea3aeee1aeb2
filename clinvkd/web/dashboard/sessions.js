// Stored conversations: a list to search, and beside it the one that was picked.

import { messageOf } from "./api.js";
import { element, setText } from "./dom.js";
import { plural, since } from "./format.js";
import { Conversation } from "./conversation.js";

const PAGE = 50;
const PAUSE = 250; // milliseconds without a key press before the search is made
const STATUSES = ["active", "completed", "error", "canceled"];
const STATES = { active: "busy", error: "bad" };

export function sessions({ api, announce }) {
  return new Sessions(api, announce);
}

class Sessions {
  title = "Sessions";
  #api;
  #announce;
  #found = [];
  #total = 0;
  #picked = "";
  #asking = null; // of the latest search; older ones are of no interest
  #timer = null;
  #search = element("input", {
    id: "search", type: "search", placeholder: "Text of a title or a message", maxlength: 1000,
    oninput: () => this.#soon(),
  });
  #backend = element("select", { id: "of-backend", onchange: () => this.#load() },
    element("option", { value: "" }, "All backends"));
  #status = element("select", { id: "of-status", onchange: () => this.#load() },
    element("option", { value: "" }, "Any status"),
    STATUSES.map((name) => element("option", { value: name }, name)));
  #count = element("p", { class: "quiet small", role: "status" });
  #problem = element("p", { class: "problem", role: "alert" });
  #list = element("ul", { class: "session-list" });
  #more = element("button", { type: "button", hidden: true, onclick: () => this.#load(true) },
    "Show more");
  #place = element("div", { class: "conversation-place" });
  #conversation = null;

  constructor(api, announce) {
    this.#api = api;
    this.#announce = announce;
    this.node = element("div", { class: "view sessions" },
      element("div", { class: "view-head" }, element("h1", { tabindex: "-1" }, "Sessions")),
      element("div", { class: "columns split" },
        element("section", { class: "session-search", "aria-label": "Find a session" },
          element("form", { class: "filters", role: "search", onsubmit: (event) => {
            event.preventDefault();
            this.#load();
          } },
            labelled("Search", this.#search, "wide"),
            labelled("Backend", this.#backend),
            labelled("Status", this.#status)),
          this.#count, this.#problem, this.#list, this.#more),
        this.#place));
  }

  enter(id) {
    this.#backends();
    this.#load();
    if (id !== this.#picked || this.#conversation === null) this.#pick(id);
  }

  close() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#conversation?.close();
  }

  #pick(id) {
    this.#picked = id;
    this.node.dataset.picked = String(id !== "");
    this.#conversation?.close();
    this.#conversation = null;
    if (id === "") {
      this.#place.replaceChildren(
        element("p", { class: "empty card" }, "Pick a session to read it and to go on with it."));
      return;
    }
    this.#conversation = new Conversation(this.#api, this.#announce, id, () => this.#load());
    this.#place.replaceChildren(this.#conversation.node);
    this.#mark();
  }

  async #backends() {
    if (this.#backend.options.length > 1) return;
    try {
      const { backends } = await this.#api.json("api/v1/backends");
      this.#backend.append(...backends.map(({ name }) => element("option", { value: name }, name)));
    } catch (error) {
      setText(this.#problem, messageOf(error));
    }
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), PAUSE);
  }

  // Ask for the first sessions that fit, or for those after what is shown.
  async #load(further = false) {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    const wanted = new URLSearchParams({ limit: PAGE, offset: further ? this.#found.length : 0 });
    const conditions = {
      q: this.#search.value.trim(), backend: this.#backend.value, status: this.#status.value,
    };
    for (const [name, value] of Object.entries(conditions)) if (value) wanted.set(name, value);
    try {
      const answer = await this.#api.json(`api/v1/sessions?${wanted}`, { signal });
      this.#found = further ? [...this.#found, ...answer.sessions] : answer.sessions;
      this.#total = answer.total;
      setText(this.#problem, "");
      this.#draw();
    } catch (error) {
      if (!signal.aborted) setText(this.#problem, messageOf(error));
    }
  }

  #draw() {
    setText(this.#count, this.#total ? plural(this.#total, "session") : "No session fits.");
    this.#list.replaceChildren(...this.#found.map(entry));
    this.#more.hidden = this.#found.length >= this.#total;
    this.#mark();
  }

  #mark() {
    for (const link of this.#list.querySelectorAll("a")) {
      const current = link.getAttribute("href") === `#/sessions/${this.#picked}`;
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}

function entry(session) {
  return element("li", {},
    element("a", { href: `#/sessions/${session.id}` },
      element("span", { class: "session-title" }, session.title || "Without a title"),
      element("span", { class: "quiet small" },
        [session.backend, plural(session.turn_count, "turn"), session.key, since(session.last_used)]
          .filter(Boolean).join(" · ")),
      session.status === "completed"
        ? null
        : element("span", { class: "badge", "data-state": STATES[session.status] ?? "quiet" },
          session.status)));
}

export function labelled(name, field, kind = "") {
  return element("div", { class: `field ${kind}`.trim() },
    element("label", { for: field.id }, name), field);
}
