// One prompt to several backends at once, with their answers side by side as they come.

import { messageOf } from "./api.js";
import { element, setText, swap } from "./dom.js";
import { Lane } from "./lane.js";
import { plural } from "./format.js";

export function playground({ api, announce }) {
  return new Playground(api, announce);
}

class Playground {
  title = "Playground";
  #api;
  #announce;
  #running = null; // the AbortController of a comparison that runs
  #choices = [];
  #lanes = [];
  #prompt = element("textarea", {
    id: "prompt", rows: 4, required: true, placeholder: "What shall they answer?",
    onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    },
  });
  #backends = element("div", { class: "choices" });
  #judge = element("select", { id: "judge" }, element("option", { value: "" }, "Nobody"));
  #send = element("button", { type: "submit", class: "primary" }, "Send");
  #stop = element("button", { type: "button", hidden: true, onclick: () => this.#running?.abort() },
    "Stop");
  #problem = element("p", { class: "problem", role: "alert" });
  #verdict = element("section", { class: "card verdict", "aria-label": "Verdict", hidden: true });
  #results = element("div", { class: "lanes" });
  #form = element("form", { class: "card ask", onsubmit: (event) => this.#submit(event) },
    element("label", { for: "prompt" }, "Prompt"),
    this.#prompt,
    element("fieldset", {}, element("legend", {}, "Backends"), this.#backends),
    element("div", { class: "actions" },
      this.#send, this.#stop,
      element("label", { class: "inline", for: "judge" }, "Judged by"), this.#judge,
      element("span", { class: "quiet small" }, "Ctrl+Enter sends")));

  constructor(api, announce) {
    this.#api = api;
    this.#announce = announce;
    this.node = element("div", { class: "view" },
      element("div", { class: "view-head" },
        element("h1", { tabindex: "-1" }, "Playground"),
        element("p", { class: "quiet" }, "One prompt to several backends, side by side.")),
      this.#form, this.#problem, this.#verdict, this.#results);
  }

  enter() {
    this.#load();
  }

  close() {
    this.#running?.abort();
  }

  async #load() {
    try {
      const { backends } = await this.#api.json("api/v1/backends");
      const known = new Set(this.#choices.map(({ name }) => name));
      const first = backends.find(({ available }) => available)?.name;
      for (const backend of backends) {
        const choice = this.#choices.find(({ name }) => name === backend.name)
          ?? this.#offer(backend.name, backend.name === first && known.size === 0);
        choice.available(backend);
      }
    } catch (error) {
      setText(this.#problem, messageOf(error));
    }
  }

  #offer(name, checked) {
    const choice = new Choice(name, checked);
    this.#choices.push(choice);
    this.#backends.append(choice.node);
    this.#judge.append(element("option", { value: name }, name));
    return choice;
  }

  async #submit(event) {
    event.preventDefault();
    if (this.#running) return;
    const chosen = this.#choices.flatMap((choice) => choice.asked);
    if (chosen.length === 0) {
      setText(this.#problem, "Choose at least one backend.");
      return;
    }
    setText(this.#problem, "");
    this.#verdict.hidden = true;
    this.#lanes = chosen.map((name) => new Lane(name));
    this.#results.replaceChildren(...this.#lanes.map((lane) => lane.node));
    const controller = (this.#running = new AbortController());
    this.#busy(true);
    try {
      await this.#compare(chosen, controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) setText(this.#problem, messageOf(error));
    }
    for (const lane of this.#lanes) lane.stop(); // those that did not get to their end
    this.#running = null;
    this.#busy(false);
  }

  async #compare(backends, signal) {
    const body = { backends, prompt: this.#prompt.value };
    if (this.#judge.value) body.judge = this.#judge.value;
    const stream = this.#api.stream("api/v1/compare", { method: "POST", body, signal });
    for await (const { data } of stream) {
      if (data.type === "result") this.#conclude(data.content);
      else if (!data.judge) this.#lanes[data.index]?.take(data);
    }
  }

  #conclude(result) {
    result.results.forEach((each, index) => this.#lanes[index].conclude(each));
    const answered = result.results.filter(({ exit_code: code }) => code === 0).length;
    this.#announce(`${plural(answered, "answer")} of ${result.results.length} complete.`);
    if (result.verdict) this.#judged(result.verdict);
  }

  #judged(verdict) {
    const said = verdict.error
      ? [element("p", {}, `There is no verdict: ${verdict.error}`)]
      : [
        element("p", {}, element("strong", {}, `The winner is ${verdict.winner}.`)),
        element("p", { class: "prose" }, verdict.reasoning),
        element("ul", {}, verdict.scores.map(({ backend, score, comment }) =>
          element("li", {}, `${backend}: ${score} of 10. ${comment ?? ""}`))),
      ];
    this.#verdict.replaceChildren(element("h2", {}, "Verdict"), ...said);
    this.#verdict.hidden = false;
  }

  #busy(running) {
    swap(this.#send, this.#stop, running);
  }
}

// A backend that can be asked, and with which model.
class Choice {
  #box;
  #model;
  #note = element("span", { class: "quiet small" });

  constructor(name, checked) {
    this.name = name;
    this.#box = element("input", { type: "checkbox", id: `ask-${name}`, checked });
    this.#model = element("input", {
      type: "text", placeholder: "default model", "aria-label": `Model of ${name}`,
      autocomplete: "off", spellcheck: "false",
    });
    this.node = element("div", { class: "choice" },
      this.#box, element("label", { for: `ask-${name}` }, name), this.#model, this.#note);
  }

  // As `compare` takes it: nothing, or the backend with its model.
  get asked() {
    if (!this.#box.checked || this.#box.disabled) return [];
    const model = this.#model.value.trim();
    return [model ? `${this.name}/${model}` : this.name];
  }

  available({ available, reason }) {
    this.#box.disabled = !available;
    this.#model.disabled = !available;
    this.#model.hidden = !available;
    this.node.title = reason ?? "";
    setText(this.#note, available ? "" : "not available");
  }
}
