// The widget: one question, a set of questions, or recap cards, and the way back to Python.

// What is on screen belongs to the model, not to a view: an output that JupyterLab rebuilds, or
// shows a second time, goes on where it was.
const screens = new WeakMap();

function render({ model, el }) {
  const screen = screens.get(model) ?? newScreen(model);
  screens.set(model, screen);
  const root = make("div", { class: "tlm-quiz", "data-lm-suppress-shortcuts": "true" });
  // Without this a notebook's own handler takes Enter away, and letters run its commands.
  root.addEventListener("keydown", (event) => {
    const ours = event.key === "Enter" || !(event.ctrlKey || event.metaKey);
    if (ours) event.stopPropagation();
  });
  const build = { quiz: quizView, final: quizView, recap: recapView }[model.get("mode")];
  root.append(build(model, screen));
  el.append(root);
}

function newScreen(model) {
  const questions = model.get("questions");
  const records = model.get("records");
  // A final quiz starts from nothing: what was right before must not show here.
  const before = model.get("mode") === "final" ? {} : records;
  const states = new Map(questions.map((q) => [q.id, newState(before[q.id])]));
  const screen = { questions, states, current: 0, turned: false, warning: "" };
  screen.outbox = newOutbox(model, questions, (warning) => {
    screen.warning = warning;
    screen.redraw?.();
  });
  return screen;
}

export default { render };
