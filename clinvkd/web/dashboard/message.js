// One message of a conversation, block by block.

import { element } from "./dom.js";
import { bytes, moment, tokens } from "./format.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const NAMES = { user: "You", assistant: "Agent", system: "System" };

// Of the API's `messages`: `role`, `content`, `created_at`, `token_usage`.
export function message(stored) {
  return element("article", { class: "message", "data-role": stored.role },
    element("header", { class: "quiet small" },
      element("strong", {}, NAMES[stored.role] ?? stored.role),
      element("span", {},
        [stored.created_at && moment(stored.created_at), tokens(stored.token_usage)]
          .filter(Boolean).join(" · "))),
    stored.content.map(block));
}

function block(part) {
  switch (part.type) {
    case "text":
      return element("p", { class: "prose" }, part.text);
    case "thinking":
      return folded("Reasoning", element("p", { class: "prose quiet" }, part.text));
    case "tool_use":
      return folded(`Calls ${part.name}`, code(JSON.stringify(part.input, null, 2)));
    case "tool_result":
      return folded(part.is_error ? "Result, an error" : "Result", ...part.content.map(block));
    case "image":
      return picture(part);
    default:
      return element("p", { class: "quiet" }, attachment(part));
  }
}

function picture(part) {
  if (!PICTURES.has(part.media_type)) return element("p", { class: "quiet" }, attachment(part));
  const source = `data:${part.media_type};base64,${part.data}`;
  return element("img", { class: "picture", src: source, alt: "A picture of this conversation" });
}

function attachment(part) {
  const size = part.data ? `, ${bytes(Math.floor(part.data.length * 0.75))}` : "";
  return `${part.title ?? part.type} (${part.media_type ?? "unknown"}${size})`;
}

export function folded(title, ...children) {
  return element("details", { class: "folded" }, element("summary", {}, title), children);
}

// Text that may be wider than the page; it can be scrolled by keyboard, too.
export function code(text, name = "Text") {
  return element("pre", { class: "code", tabindex: "0", role: "region", "aria-label": name }, text);
}
