// The widget: one question, a set of questions, or recap cards, and the way back to Python.

import { keepKeys, make } from "../front/dom.mjs";
import { newOutbox, waitingFor } from "./outbox.mjs";
import { answered, newState } from "./question.mjs";
import { recapView } from "./recap.mjs";
import { quizView } from "./set.mjs";

// anywidget calls this once a model. What is on screen belongs to the model, not to a view: an output
// that JupyterLab builds anew, as when its cell is moved, goes on where it was.
export default () => {
  let screen;
  return {
    initialize({ model }) {
      screen = newScreen(model);
    },
    render({ model, el }) {
      const root = make("div", { class: "tlm-quiz", "data-lm-suppress-shortcuts": "true" });
      root.addEventListener("keydown", keepKeys);
      const build = { quiz: quizView, final: quizView, recap: recapView }[model.get("mode")];
      root.append(build(model, screen));
      el.append(root);
    },
  };
};

function newScreen(model) {
  const questions = model.get("questions");
  // A final quiz starts from nothing: what was right before must not show here.
  const before = model.get("mode") === "final" ? {} : { ...model.get("records") };
  if (model.get("mode") === "quiz") {
    for (const { what, question, status, score } of waitingFor(model)) {
      if (what === "answer") before[question] = answered(before[question], status, score);
    }
  }
  const states = new Map(questions.map((q) => [q.id, newState(before[q.id])]));
  const screen = { questions, states, current: 0, turned: false, warning: "" };
  screen.outbox = newOutbox(model, (warning) => {
    screen.warning = warning;
    screen.redraw?.();
  });
  return screen;
}
