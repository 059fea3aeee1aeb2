// Light or dark: as the system prefers, until the button says otherwise.

const preference = window.matchMedia("(prefers-color-scheme: dark)");

export function followTheme(button) {
  let chosen = null;
  const apply = () => {
    const dark = chosen ?? preference.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
  };
  preference.addEventListener("change", apply);
  button.addEventListener("click", () => {
    chosen = !(chosen ?? preference.matches);
    apply();
  });
  apply();
}
