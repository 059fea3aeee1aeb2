// The API reference: Swagger UI over this daemon's own description, with a key and live streams.

import { Accessible, amendFrom } from "./accessible.js";
import { Live } from "./streaming.js";

const SCHEME = "header"; // of `securitySchemes`: the key goes out as X-Api-Key

function applyTheme(dark) {
  document.documentElement.classList.toggle("dark-mode", dark);
  const button = document.getElementById("theme");
  button.setAttribute("aria-pressed", String(dark));
}

function followTheme() {
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  applyTheme(preference.matches);
  preference.addEventListener("change", (event) => applyTheme(event.matches));
  document.getElementById("theme").addEventListener("click", () => {
    applyTheme(!document.documentElement.classList.contains("dark-mode"));
  });
}

function followKey(ui) {
  // Kept in the memory of this page only.
  document.getElementById("key").addEventListener("input", (event) => {
    const key = event.target.value.trim();
    if (key) ui.preauthorizeApiKey(SCHEME, key);
    else ui.authActions.logout([SCHEME]);
  });
}

followTheme();
amendFrom(document.getElementById("reference"));
const ui = window.SwaggerUIBundle({
  url: "openapi.json",
  domNode: document.getElementById("reference"),
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  plugins: [Live, Accessible],
  tryItOutEnabled: true,
  validatorUrl: null, // it would ask a server of somebody else
  onComplete: () => followKey(ui),
});
