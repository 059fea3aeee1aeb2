// The last requests, as the daemon remembers them, and each as a command to send it again.

import { ApiError, isOwn, messageOf } from "./api.js";
import { curl, difference } from "./curl.js";
import { element, Keyed, scrolled, setText } from "./dom.js";
import { clock, plural, took } from "./format.js";
import { code, folded } from "./message.js";
import { labelled } from "./sessions.js";

const MOST = 100; // rows
const GONE = "This request is no longer kept: the daemon remembers only the last ones, "
  + "and none of before its start.";

export function requests({ api, feed, announce }) {
  return new Requests(api, feed, announce);
}

class Requests {
  title = "Requests";
  #api;
  #feed;
  #announce;
  #known = new Map(); // by id; what the feed tells is added to what was asked for
  #picked = null;
  #filter = element("input", {
    id: "filter", type: "search", placeholder: "Path, key or status", oninput: () => this.#draw(),
  });
  #failed = element("input", { id: "failed", type: "checkbox", onchange: () => this.#draw() });
  #own = element("input", { id: "own", type: "checkbox", onchange: () => this.#draw() });
  #count = element("p", { class: "quiet small" });
  #problem = element("p", { class: "problem", role: "alert" });
  #body = element("tbody");
  #rows = new Keyed(this.#body, () => new Row((id) => this.#pick(id)));
  #detail = element("div", { class: "conversation-place" },
    element("p", { class: "empty card" }, "Pick a request to see it whole."));

  constructor(api, feed, announce) {
    this.#api = api;
    this.#feed = feed;
    this.#announce = announce;
    const heads = ["Time", "Request", "Status", "Took", "Key"];
    this.node = element("div", { class: "view" },
      element("div", { class: "view-head" }, element("h1", { tabindex: "-1" }, "Requests"),
        element("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
          labelled("Filter", this.#filter),
          element("div", { class: "field check" }, this.#failed,
            element("label", { for: "failed" }, "Failed only")),
          element("div", { class: "field check" }, this.#own,
            element("label", { for: "own" }, "Those of this page")))),
      this.#problem,
      element("div", { class: "columns split wide-left" },
        element("section", { class: "card flush", "aria-label": "Last requests" },
          scrolled("Requests", element("table", { class: "requests" },
            element("caption", { class: "unseen" }, "The last requests, the newest first"),
            element("thead", {}, element("tr", {}, heads.map((head) =>
              element("th", { scope: "col" }, head)))),
            this.#body)),
          this.#count),
        this.#detail));
  }

  enter() {
    this.#load();
  }

  async #load() {
    try {
      const { data } = await this.#api.json(`api/v1/requests?limit=${MOST}`);
      for (const each of data) this.#known.set(each.id, each);
      setText(this.#problem, "");
    } catch (error) {
      setText(this.#problem, messageOf(error));
    }
    this.#draw();
  }

  update(changed) {
    if (changed.has("gap")) this.#load();
    if (!changed.has("requests")) return;
    for (const each of this.#feed.requests) {
      if (!this.#known.has(each.id)) this.#known.set(each.id, each);
    }
    this.#draw();
  }

  #draw() {
    const newest = [...this.#known.values()];
    newest.sort((a, b) => Date.parse(b.time) - Date.parse(a.time));
    for (const old of newest.splice(MOST)) this.#known.delete(old.id);
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = newest.filter((each) => {
      if (this.#failed.checked && each.status < 400) return false;
      if (!this.#own.checked && isOwn(each.request_id)) return false;
      const text = `${each.method} ${each.path} ${each.status} ${each.key ?? ""} ${each.dialect}`;
      return words.every((word) => text.toLowerCase().includes(word));
    });
    this.#rows.show(shown.map((each) => ({ ...each, picked: each.id === this.#picked })),
      (each) => each.id);
    const none = "There is no such request.";
    setText(this.#count, shown.length ? plural(shown.length, "request") : none);
  }

  async #pick(id) {
    this.#picked = id;
    this.#draw();
    try {
      const request = await this.#api.json(`api/v1/requests/${encodeURIComponent(id)}`);
      if (this.#picked === id) this.#show(request);
    } catch (error) {
      if (this.#picked === id) {
        const gone = error instanceof ApiError && error.status === 404;
        const said = gone ? GONE : messageOf(error);
        this.#detail.replaceChildren(
          element("p", { class: "problem card", role: "alert" }, said));
      }
    }
  }

  #show(request) {
    const command = curl(request, document.baseURI);
    const title = element("h2", { tabindex: "-1" }, `${request.method} ${request.path}`);
    const note = difference(request);
    this.#detail.replaceChildren(
      element("section", { class: "card request", "aria-label": "Request" },
        element("header", {}, title,
          element("p", { class: "quiet small" }, [
            `status ${request.status}`, took(request.duration_ms), clock(request.time),
            request.request_id,
          ].filter(Boolean).join(" · "))),
        element("div", { class: "actions" },
          element("button", {
            type: "button", class: "primary", onclick: () => this.#copy(command),
          }, "Copy as curl")),
        note ? element("p", { class: "reason" }, note) : null,
        code(command, "Command"),
        element("h3", {}, "Body"),
        request.request_body ? code(pretty(request.request_body), "Body")
          : element("p", { class: "quiet" }, "None."),
        folded("Headers of the request", headers(request.request_headers)),
        folded("Headers of the answer", headers(request.response_headers))));
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "nearest" });
  }

  async #copy(command) {
    try {
      await navigator.clipboard.writeText(command);
      this.#announce("Copied.");
      const button = this.#detail.querySelector(".actions button");
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy as curl"; }, 2000);
    } catch {
      // Without a secure context, or permission, there is no clipboard.
      const text = this.#detail.querySelector("pre");
      getSelection().selectAllChildren(text);
      text.focus();
      this.#announce("The command is selected; copy it with the keys of your system.");
    }
  }
}

class Row {
  #time = element("td");
  #button = element("button", { type: "button", class: "row-button" });
  #status = element("span", { class: "badge" });
  #took = element("td", { class: "figure-cell" });
  #key = element("td", { class: "quiet" });
  #id = null;

  constructor(pick) {
    this.#button.addEventListener("click", () => pick(this.#id));
    this.node = element("tr", {}, this.#time,
      element("td", {}, this.#button), element("td", {}, this.#status), this.#took, this.#key);
  }

  update(request) {
    this.#id = request.id;
    setText(this.#time, clock(request.time));
    setText(this.#button, `${request.method} ${request.path}`);
    this.#button.setAttribute("aria-pressed", String(request.picked));
    this.#status.dataset.state = request.status < 400 ? "good" : "bad";
    setText(this.#status, String(request.status));
    setText(this.#took, took(request.duration_ms));
    setText(this.#key, request.key ?? "");
  }
}

function headers(pairs) {
  return element("dl", { class: "headers" }, Object.entries(pairs ?? {}).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
