/* Light or dark: as the system says, until the reader says otherwise. */

const KEY = "serbench-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Makes `button` switch the theme, and remembers what was chosen. */
export function switchable(button) {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const draw = () => button.setAttribute("aria-pressed", String(isDark()));
  const chosen = remembered();
  if (chosen) root.dataset.theme = chosen;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    draw();
  });
  dark.addEventListener("change", draw);
  draw();
}

/** Files opened from a disk may have no storage. */
function remembered() {
  try {
    const chosen = localStorage.getItem(KEY);
    return ["light", "dark"].includes(chosen) ? chosen : null;
  } catch {
    return null;
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch { /* it lasts until the page is closed */ }
}
