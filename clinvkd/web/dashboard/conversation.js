// One session: all that was said, and what can be done with it.

import { messageOf } from "./api.js";
import { element, setText, swap } from "./dom.js";
import { money, moment, plural, tokens } from "./format.js";
import { message } from "./message.js";
import { StreamedText } from "./streamed_text.js";

export class Conversation {
  #api;
  #announce;
  #id;
  #changed;
  #running = null; // the AbortController of a prompt that is being answered
  #closed = false;
  #title = element("h2", { tabindex: "-1" }, "Session");
  #facts = element("p", { class: "quiet small" });
  #problem = element("p", { class: "problem", role: "alert" });
  #messages = element("div", { class: "messages" });
  #prompt = element("textarea", {
    id: "continue-prompt", rows: 3, required: true, placeholder: "Go on with this conversation",
    onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    },
  });
  #send = element("button", { type: "submit", class: "primary" }, "Send");
  #stop = element("button", { type: "button", hidden: true, onclick: () => this.#running?.abort() },
    "Stop");
  #form = element("form", { class: "continue", onsubmit: (event) => this.#continue(event) },
    element("label", { for: "continue-prompt" }, "Continue"),
    this.#prompt,
    element("div", { class: "actions" }, this.#send, this.#stop,
      element("span", { class: "quiet small" }, "Ctrl+Enter sends")));
  #confirmation = element("dialog", { class: "card", "aria-labelledby": "delete-title" },
    element("h2", { id: "delete-title" }, "Delete this session?"),
    element("p", {}, "Its messages are gone for good."),
    element("form", { method: "dialog", class: "actions" },
      element("button", {}, "Keep it"),
      element("button", { class: "danger", onclick: () => this.#delete() }, "Delete")));

  // `changed()` is called when the list of sessions is not what it was.
  constructor(api, announce, id, changed) {
    this.#api = api;
    this.#announce = announce;
    this.#id = id;
    this.#changed = changed;
    this.node = element("section", { class: "card conversation", "aria-label": "Session" },
      element("header", {},
        element("a", { class: "back", href: "#/sessions" }, "All sessions"),
        this.#title, this.#facts,
        element("div", { class: "actions" },
          element("button", { type: "button", onclick: () => this.#fork() }, "Fork"),
          element("button", {
            type: "button", class: "danger", onclick: () => this.#confirmation.showModal(),
          }, "Delete"))),
      this.#problem, this.#messages, this.#form, this.#confirmation);
    this.#load();
  }

  close() {
    this.#closed = true;
    this.#running?.abort();
  }

  async #load() {
    let session;
    try {
      session = await this.#api.json(`${this.#path}?include=messages`);
    } catch (error) {
      // It may be there without its messages, which need not be stored.
      session = error.param === "include" ? await this.#without(error) : this.#fail(error);
    }
    if (!session || this.#closed) return;
    setText(this.#title, session.title || "Without a title");
    setText(this.#facts, facts(session));
    if (session.error) setText(this.#problem, `The last turn failed: ${session.error}`);
    this.#messages.replaceChildren(...(session.messages ?? []).map(message));
  }

  async #without(error) {
    setText(this.#problem, messageOf(error));
    try {
      return await this.#api.json(this.#path);
    } catch (failure) {
      return this.#fail(failure);
    }
  }

  get #path() {
    return `api/v1/sessions/${encodeURIComponent(this.#id)}`;
  }

  #fail(error) {
    setText(this.#problem, messageOf(error));
    return null;
  }

  async #fork() {
    try {
      const copy = await this.#api.json(`${this.#path}/fork`, { method: "POST" });
      this.#announce("This is the copy.");
      location.hash = `#/sessions/${copy.id}`;
    } catch (error) {
      this.#fail(error);
    }
  }

  async #delete() {
    try {
      await this.#api.json(this.#path, { method: "DELETE" });
      this.#announce("The session is deleted.");
      location.hash = "#/sessions";
    } catch (error) {
      this.#fail(error);
    }
  }

  async #continue(event) {
    event.preventDefault();
    if (this.#running) return;
    const prompt = this.#prompt.value;
    const controller = (this.#running = new AbortController());
    const answer = new StreamedText();
    const asked = message({ role: "user", content: [{ type: "text", text: prompt }] });
    const answering = element("article", { class: "message", "data-role": "assistant" },
      element("header", { class: "quiet small" }, element("strong", {}, "Agent"), "answering"),
      answer.node);
    this.#messages.append(asked, answering);
    answering.scrollIntoView({ block: "nearest" });
    this.#busy(true);
    setText(this.#problem, "");
    try {
      const body = { session_id: this.#id, prompt };
      const options = { method: "POST", body, signal: controller.signal };
      for await (const { data } of this.#api.stream("api/v1/prompt", options)) {
        if (data.type === "message") answer.add(data.content.text);
        if (data.type === "error") throw new Error(data.content.message);
      }
      this.#prompt.value = "";
      this.#announce("The answer is complete.");
      this.#changed();
      await this.#load();
    } catch (error) {
      // A turn that did not complete changes no history.
      asked.remove();
      answering.remove();
      if (!controller.signal.aborted) this.#fail(error);
    } finally {
      this.#running = null;
      this.#busy(false);
    }
  }

  #busy(running) {
    swap(this.#send, this.#stop, running);
  }
}

function facts(session) {
  return [
    session.backend,
    session.model,
    plural(session.turn_count, "turn"),
    tokens(session.token_usage),
    session.cost_usd ? money(session.cost_usd) : "",
    session.key,
    session.working_dir,
    `last used ${moment(session.last_used)}`,
    session.parent_id ? `copy of ${session.parent_id.slice(0, 8)}` : "",
  ].filter(Boolean).join(" · ");
}
