// What Swagger UI leaves out for those who do not see the page, or do not use a mouse.

const NAMES = [
  ["#servers", "Server"],
  ["select.examples-select-element", "Example"],
  ["select.content-type", "Media type"],
  ["select", "Value"],
  ["textarea", "Body of the request"],
  [".opblock-control-arrow", "Show or hide"],
];
// What stands beside the list of operations, which is the main part.
const REGIONS = [
  [".information-container", "About this API"],
  [".scheme-container", "Server and authorization"],
  [".filter-container", "Filter"],
];
// The title of the page is the first level; levels are not to be skipped below it.
const LEVELS = [["h3", 2], ["h4", 3], ["h5", 4]];

function amend(root) {
  for (const [selector, name] of NAMES) {
    for (const element of root.querySelectorAll(`${selector}:not([aria-label])`)) {
      element.setAttribute("aria-label", name);
    }
  }
  for (const [tag, level] of LEVELS) {
    for (const heading of root.querySelectorAll(`${tag}:not([aria-level])`)) {
      heading.setAttribute("aria-level", String(level));
    }
  }
  for (const [selector, name] of REGIONS) {
    const region = root.querySelector(`${selector}:not([role])`);
    region?.setAttribute("role", "region");
    region?.setAttribute("aria-label", name);
  }
  for (const region of root.querySelectorAll("pre:not([tabindex])")) region.tabIndex = 0;
}

// Amend what is there, and what is added later.
export function amendFrom(root) {
  new MutationObserver(() => amend(root)).observe(root, { childList: true, subtree: true });
  amend(root);
}

// The plugin of Swagger UI: a path is a link within a button, where nothing may be pressed; the
// button does the same.
export function Accessible(system) {
  const { createElement: h } = system.React;
  return { wrapComponents: { DeepLink: () => ({ text }) => h("span", {}, text) } };
}
