// What the current step did: its note, what it printed or raised, and all variables after it.

import { make } from "../front/dom.mjs";
import { printedAt, variablesAt } from "./trace.mjs";

const HOW = { new: "✚ new", changed: "● changed", gone: "✖ gone" };

export function noteView(recording) {
  const place = make("p", { class: "meta" });
  const note = make("div", { class: "words" });
  const end = make("div");
  const element = make("div", { class: "note" }, place, note, end);

  function update(number) {
    const step = recording.steps[number];
    const where = step.where ? ` · ${step.where}` : "";
    place.textContent = `Line ${step.line}${where}`;
    note.innerHTML = recording.notes[step.line] ?? "";
    end.replaceChildren(...endOf(recording, number));
  }
  return { element, update };
}

function endOf(recording, number) {
  const step = recording.steps[number];
  const parts = [];
  if (step.raised) parts.push(make("p", { class: "raised" }, make("b", {}, "✘ It raises "), step.raised));
  if (step.returned) parts.push(make("p", {}, make("b", {}, "It returns "), step.returned));
  const last = number === recording.steps.length - 1;
  if (last && recording.ended === "stopped") {
    parts.push(make("p", { class: "raised" }, make("b", {}, recording.message)));
  }
  return parts;
}

export function printView(recording) {
  const before = make("span", { class: "before" });
  const now = make("b");
  const block = make("pre", { tabindex: 0, role: "group", "aria-label": "Printed so far" }, before, now);
  block.setAttribute("data-lm-suppress-shortcuts", "true");
  const element = make("div", { class: "printed" }, make("p", { class: "meta" }, "Printed so far"), block);
  element.hidden = !recording.steps.some((step) => step.printed);

  function update(number) {
    const printed = printedAt(recording.steps, number);
    before.textContent = printed.before;
    now.textContent = printed.now;
    block.scrollTop = block.scrollHeight;
  }
  return { element, update };
}

export function stateView(recording) {
  const body = make("tbody");
  const head = make("tr", {}, ...["Variable", "After this line", "What changed"].map((name) =>
    make("th", { scope: "col" }, name)));
  const element = make("table", {}, make("caption", { class: "meta" }, "State"), make("thead", {}, head), body);

  function update(number) {
    const variables = [...variablesAt(recording.steps, number).values()];
    const rows = variables.map(({ name, how, text, told }) =>
      make("tr", { class: how },
        make("th", { scope: "row" }, make("code", {}, name)),
        make("td", { class: "text" }, text),
        make("td", {}, ...(how ? [make("b", {}, HOW[how])] : []),
          ...told.map((words) => make("div", {}, words)))));
    body.replaceChildren(...rows);
    element.hidden = !rows.length;
  }
  return { element, update };
}
