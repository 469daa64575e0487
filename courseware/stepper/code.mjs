// The code with its line numbers. A line that ran is a button that goes to when it ran next.

import { make } from "../front/dom.mjs";

export function codeView(recording, visit) {
  const ran = new Set(recording.steps.map((step) => step.line));
  const lines = recording.code.map((html, index) => {
    const number = index + 1;
    const mark = make("span", { class: "mark", "aria-hidden": "true" });
    const parts = [mark, make("span", { class: "number" }, String(number)),
      make("code", { html: html || " " })];
    if (!ran.has(number)) return make("div", { class: "line" }, ...parts);
    const again = () => visit(number);
    return make("button", { type: "button", class: "line", tabindex: -1, onclick: again }, ...parts);
  });

  // One line is in the order of the Tab key, the current one.
  function update(place) {
    const current = recording.steps[place].line;
    const end = recording.ends[current] ?? current;
    const hadFocus = lines.includes(document.activeElement);
    for (const [index, line] of lines.entries()) {
      const isCurrent = index + 1 === current;
      line.classList.toggle("current", index + 1 >= current && index + 1 <= end);
      line.querySelector(".mark").textContent = isCurrent ? "▶" : "";
      if (line.tagName !== "BUTTON") continue;
      line.tabIndex = isCurrent ? 0 : -1;
      if (isCurrent) line.setAttribute("aria-current", "step");
      else line.removeAttribute("aria-current");
      if (isCurrent && hadFocus) line.focus({ preventScroll: true });
    }
  }
  const label = { class: "code", role: "group", "aria-label": "Code" };
  return { element: make("div", label, ...lines), update };
}
