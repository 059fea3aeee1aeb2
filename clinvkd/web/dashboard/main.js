// The page: who may come in, which view is shown, and what all views share.

import { announce } from "./announce.js";
import { Api, messageOf } from "./api.js";
import { element } from "./dom.js";
import { Feed } from "./feed.js";
import { login } from "./login.js";
import { overview } from "./overview.js";
import { playground } from "./playground.js";
import { requests } from "./requests.js";
import { sessions } from "./sessions.js";
import { followTheme } from "./theme.js";
import { usage } from "./usage.js";

// Makers of views. A view has `title`, `node`, and as it needs them `enter(argument)`, `leave()`,
// `update(changed)` while it is shown, and `close()`.
const VIEWS = { overview, playground, sessions, usage, requests };
const CONNECTIONS = { connecting: "Connecting", live: "Live", lost: "Connection lost" };

class Dashboard {
  #api = new Api();
  #feed = new Feed(this.#api);
  #views = new Map(); // made once, so that a playground's answers are there when one comes back
  #shown = null;
  #entered = false;
  #lost = false; // the connection, and not found again
  #main = document.getElementById("main");
  #places = document.getElementById("places");
  #connection = document.getElementById("connection");
  #signOut = document.getElementById("sign-out");

  async start() {
    followTheme(document.getElementById("theme"));
    document.getElementById("skip").addEventListener("click", (event) => {
      event.preventDefault(); // a fragment is the name of a view here
      this.#main.focus();
    });
    window.addEventListener("hashchange", () => this.#entered && this.#route(true));
    this.#signOut.addEventListener("click", () => this.#lock(""));
    this.#api.addEventListener("refused", () => {
      if (this.#entered) this.#lock("The key is not valid any more.");
    });
    this.#feed.addEventListener("change", ({ detail }) => this.#changed(detail));
    try {
      const health = await this.#api.json("health");
      if (health.version === undefined) this.#lock("");
      else this.#enter();
    } catch (error) {
      this.#main.replaceChildren(
        element("h1", {}, "clinvk"),
        element("p", { class: "problem", role: "alert" }, messageOf(error)));
    }
  }

  #enter() {
    this.#entered = true;
    this.#places.hidden = false;
    this.#connection.hidden = false;
    this.#signOut.hidden = !this.#api.hasKey;
    this.#feed.start();
    this.#route(this.#api.hasKey);
  }

  // Forget the key and all that was shown with it, and ask for one.
  #lock(reason) {
    this.#entered = false;
    this.#feed.stop();
    this.#api.use(null);
    for (const view of this.#views.values()) view.close?.();
    this.#views.clear();
    this.#shown = null;
    this.#places.hidden = true;
    this.#connection.hidden = true;
    this.#signOut.hidden = true;
    document.title = "Sign in - clinvk";
    const form = login(this.#api, () => this.#enter(), reason);
    this.#main.replaceChildren(form.node);
    form.focus();
  }

  // Show the view that the fragment of the address names.
  #route(moved) {
    const [, asked = "", argument = ""] = location.hash.split("/");
    if (location.hash && !location.hash.startsWith("#/")) return;
    const name = Object.hasOwn(VIEWS, asked) ? asked : "overview";
    if (!this.#views.has(name)) {
      this.#views.set(name, VIEWS[name]({ api: this.#api, feed: this.#feed, announce }));
    }
    const view = this.#views.get(name);
    if (this.#shown !== view) {
      this.#shown?.leave?.();
      this.#shown = view;
      this.#main.replaceChildren(view.node);
      window.scrollTo(0, 0);
    }
    document.title = `${view.title} - clinvk`;
    for (const link of this.#places.querySelectorAll("a")) {
      const current = link.getAttribute("href") === `#/${name}`;
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    view.enter?.(decoded(argument));
    view.update?.(new Set(["connection", "snapshot", "turns", "requests"]));
    if (moved) view.node.querySelector("h1").focus({ preventScroll: true });
  }

  #changed(detail) {
    if (!this.#entered) return;
    if (detail.has("connection")) this.#tellConnection();
    this.#shown?.update?.(detail);
  }

  #tellConnection() {
    const state = this.#feed.connection;
    this.#connection.dataset.state = state;
    this.#connection.textContent = CONNECTIONS[state] ?? "";
    this.#connection.title = this.#feed.problem;
    if (state === "lost" && !this.#lost) announce("The connection to the daemon is lost.");
    if (state === "live" && this.#lost) announce("The daemon is connected again.");
    this.#lost = state === "lost" || (this.#lost && state !== "live");
  }
}

// What cannot be decoded stands for itself, and the view says that there is no such thing.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

new Dashboard().start();
