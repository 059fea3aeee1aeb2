// Asks for an API key. It is tried before it is used, and kept in the memory of the page only.

import { messageOf } from "./api.js";
import { element } from "./dom.js";

// A form; `enter()` is called once the daemon took the key, `reason` says why one is needed again.
export function login(api, enter, reason = "") {
  const problem = element("p", { class: "problem", role: "alert" });
  const field = element("input", {
    id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true,
    "aria-describedby": "key-hint",
  });
  const button = element("button", { type: "submit", class: "primary" }, "Sign in");

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    const wrong = await refusal(api, field.value.trim());
    button.disabled = false;
    field.value = "";
    if (wrong === "") return enter();
    problem.textContent = wrong;
    field.focus();
  }

  problem.textContent = reason;
  const form = element("form", { class: "card login", onsubmit: submit },
    element("h1", { tabindex: "-1" }, "Sign in"),
    element("p", { class: "quiet", id: "key-hint" },
      "This daemon wants an API key. It stays in the memory of this page and is gone with it."),
    element("label", { for: "key" }, "API key"),
    field, problem, button);
  return { node: form, focus: () => field.focus() };
}

// Why a key cannot be used, or an empty text.
async function refusal(api, key) {
  // A header holds no other characters, so no key does.
  if (!/^[\x21-\x7e]+$/.test(key)) return "This is not an API key.";
  api.use(key);
  let wrong;
  try {
    const health = await api.json("health");
    if (health.version !== undefined) return "";
    wrong = "This daemon has no API keys; it answers only the user that runs it.";
  } catch (error) {
    wrong = error.status === 401 ? "The daemon does not know this key." : messageOf(error);
  }
  api.use(null);
  return wrong;
}
