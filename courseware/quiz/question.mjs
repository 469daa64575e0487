// One question on screen: what was answered and shown so far lives in `state`, so that the question
// can be drawn again (JupyterLab rebuilds outputs that were scrolled away) without losing anything.

import { make } from "../front/dom.mjs";
import { grade } from "./grading.mjs";
import { makeInput } from "./inputs.mjs";

const VERDICTS = {
  correct: "✔ Right.",
  partial: "◐ Partly right.",
  wrong: "✘ Not yet.",
  invalid: "",
};
const DOTS = { easy: "●○○", medium: "●●○", hard: "●●●" };

let questionsMade = 0; // radio buttons need a name of their own in the page

// state: { record, answer, grade, hints, steps, first }. record is what is saved, first the score
// of the first try in this view. tell(what) is called after every change worth saving.
export function questionView(question, state, messages, tell) {
  const input = makeInput(question, `tlm-question-${questionsMade++}`, () => {
    state.answer = input.read();
  });
  if (state.answer !== undefined) input.write(state.answer);
  const parts = {
    meta: make("p", { class: "meta" }),
    verdict: make("div", { role: "status", class: "verdict" }),
    hints: make("div", { "aria-live": "polite" }),
    solution: make("div", { "aria-live": "polite" }),
    hint: make("button", { type: "button", onclick: showHint }),
    step: make("button", { type: "button", onclick: showStep }),
    again: make("button", { type: "button", onclick: startOver }, "Start over"),
  };

  function check(event) {
    event?.preventDefault();
    state.answer = input.read();
    state.grade = grade(question.key, state.answer);
    const { status, score } = state.grade;
    if (status === "invalid") return drawQuestion();
    state.first ??= state.steps ? 0 : score; // an answer that was looked up is no right answer
    state.record = answered(state.record, status, score);
    drawQuestion();
    tell({ what: "answer", status, score, hints: state.hints, steps: state.steps });
  }
  function showHint() {
    if (state.hints === question.hints.length) return;
    state.hints += 1;
    drawQuestion();
    tell({ what: "hint", hints: state.hints, steps: state.steps });
  }
  function showStep() {
    if (state.steps === question.solution.length) return;
    state.steps += 1;
    drawQuestion();
    tell({ what: "hint", hints: state.hints, steps: state.steps });
  }
  function startOver() {
    Object.assign(state, { answer: undefined, grade: null, hints: 0, steps: 0 });
    input.write(undefined);
    drawQuestion();
    form.querySelector("input, textarea, button").focus();
  }
  function drawQuestion() {
    parts.meta.textContent = metaLine(question, state.record);
    parts.verdict.replaceChildren(...verdict(question, state.grade, messages));
    fill(parts.hints, state.hints, (n) => note("Hint", n, question.hints[n], "hint"));
    fill(parts.solution, state.steps, (n) => solutionStep(question, n));
    label(parts.hint, "Hint", state.hints, question.hints.length);
    label(parts.step, "Solution", state.steps, question.solution.length);
    parts.again.hidden = !state.grade && !state.hints && !state.steps;
  }

  const legend = make("legend", {}, make("div", { html: question.prompt }));
  const fields = make("fieldset", {}, legend);
  if (question.code) fields.append(make("div", { class: "code", html: question.code }));
  fields.append(input.element);
  const check_ = make("button", { type: "submit", class: "primary" }, "Check");
  const row = make("div", { class: "row" }, check_, parts.hint, parts.step, parts.again);
  const form = make("form", { onsubmit: check, novalidate: true }, parts.meta, fields, row);
  form.append(parts.verdict, parts.hints, parts.solution);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) check(event);
  });
  drawQuestion();
  return form;
}

export function newState(record) {
  return { record, answer: undefined, grade: null, hints: 0, steps: 0, first: undefined };
}

export function answered(record, status, score) {
  const best = Math.max(record?.best ?? 0, score);
  return { ...record, tries: (record?.tries ?? 0) + 1, best, last: status };
}

// The heading as one reads it: in the bank it is Markdown, as in the lesson.
export function sectionOf(question) {
  return question.section.replaceAll("`", "").trim();
}

function metaLine(question, record) {
  const tries = record?.tries ? `${record.tries} ${record.tries === 1 ? "try" : "tries"}` : "";
  const done = record?.best === 1 ? `✔ answered, ${tries}` : tries;
  const told = `${DOTS[question.difficulty]} ${question.difficulty} · ${question.concept}`;
  return done ? `${told} · ${done}` : told;
}

function verdict(question, graded, messages) {
  if (!graded) return [];
  const kind = graded.status === "correct" ? "right" : graded.status;
  const texts = graded.say.map((code) => feedbackLine(question, code, messages));
  const box = make("div", { class: `note ${kind}` }, make("b", {}, VERDICTS[graded.status]), " ");
  if (texts.length === 1) box.append(texts[0]);
  else box.append(make("ul", {}, ...texts.map((text) => make("li", {}, text))));
  return [box];
}

function feedbackLine(question, code, messages) {
  const line = make("span", { html: question.feedback[code] ?? messages[code] });
  const option = question.options?.find((one) => `option:${one.id}` === code);
  if (!option || question.type === "single") return line;
  const right = question.key.correct.includes(option.id);
  line.prepend(make("b", {}, `${right ? "✔" : "✘"} ${option.letter} `));
  return line;
}

function note(name, place, text, kind) {
  return make("div", { class: `note ${kind}` }, make("b", {}, `${name} ${place + 1}. `),
    make("span", { html: text }));
}

function solutionStep(question, place) {
  if (place < question.solution.length - 1) return note("Step", place, question.solution[place], "");
  const last = note("Step", place, question.solution[place], "");
  const lines = question.answer.includes("<br>") ? "div" : "span"; // several stand below the word
  const answer = make("div", { class: "note right" }, make("b", {}, "Answer. "),
    make(lines, { html: question.answer }));
  const mistakes = question.mistakes.map((text) =>
    make("div", { class: "note wrong" }, make("b", {}, "Common mistake. "),
      make("span", { html: text })),
  );
  return make("div", {}, last, answer, ...mistakes);
}

// Bring a list of notes to `count`, adding only what is new: a screen reader reads just that.
function fill(box, count, build) {
  if (box.childElementCount > count) box.replaceChildren();
  while (box.childElementCount < count) box.append(build(box.childElementCount));
}

function label(button, name, shown, total) {
  button.textContent = shown ? `${name} ${shown}/${total}` : name;
  button.setAttribute("aria-disabled", shown >= total); // a disabled one would lose the focus
}
