// Makes elements. Whatever text they are given becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; `onclick` and the like are listeners, false leaves an
// attribute out, and children are nodes, texts, or nothing (null, undefined, false).
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value);
    }
  }
  const there = (each) => each !== null && each !== undefined && each !== false;
  node.append(...children.flat().filter(there));
  return node;
}

// Give a node this text, and do nothing when it has it: most of what is drawn again is unchanged.
export function setText(node, text) {
  const only = node.firstChild;
  if (only === null) {
    if (text !== "") node.append(text);
  } else if (only.data !== text) {
    only.data = text;
  }
}

// Have exactly these nodes in a parent, in this order. Nodes that stay are not taken out, so focus
// and selections in them are kept.
function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) {
    if (!wanted.has(child)) child.remove();
  }
  let place = parent.firstChild;
  for (const node of nodes) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
}

// One node per item, made once and given each new state: `make(item)` returns an object with `node`
// and `update(item)`.
export class Keyed {
  #parent;
  #make;
  #parts = new Map();

  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  show(items, keyOf) {
    const parts = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const part = this.#parts.get(key) ?? this.#make(item);
      part.update(item);
      parts.set(key, part);
    }
    this.#parts = parts;
    arrange(this.#parent, [...parts.values()].map((part) => part.node));
  }
}

// A place for what may be wider than the page; it can be scrolled by keyboard, too.
export function scrolled(name, ...children) {
  const attributes = { class: "scroll", tabindex: "0", role: "region", "aria-label": name };
  return element("div", attributes, ...children);
}

// Offer to stop while something runs, else to send; the focus of one goes to the other.
export function swap(send, stop, running) {
  const [from, to] = running ? [send, stop] : [stop, send];
  const focused = document.activeElement === from;
  send.disabled = running;
  stop.hidden = !running;
  if (focused) to.focus();
}
