// The widget: a recording, its slider and its buttons. All of it works without a kernel.

import { keepKeys, make } from "../front/dom.mjs";
import { codeView } from "./code.mjs";
import { noteView, printView, stateView } from "./state.mjs";
import { nextOn } from "./trace.mjs";

const PACE = 1600; // milliseconds a step while it plays

// anywidget calls this once a model. The place belongs to the model, not to a view: an output that
// JupyterLab builds anew, as when its cell is moved, goes on where it was.
export default () => {
  const screen = { place: 0 };
  return {
    render({ model, el }) {
      const root = make("div", { class: "tlm-stepper", "data-lm-suppress-shortcuts": "true" });
      const stop = stepperView(root, model.get("recording"), screen);
      el.append(root);
      return stop;
    },
  };
};

// Fills `root`; gives back what ends its clock.
function stepperView(root, recording, screen) {
  const last = recording.steps.length - 1;
  let clock = null;

  function go(place) {
    screen.place = Math.max(0, Math.min(last, place));
    update();
  }
  function pause() {
    clearInterval(clock);
    clock = null;
    controls.playing(false);
  }
  function play() {
    if (clock !== null) return pause();
    if (screen.place === last) go(0);
    clock = setInterval(() => {
      go(screen.place + 1);
      if (screen.place === last) pause();
    }, PACE);
    controls.playing(true);
  }
  const jump = (place) => {
    pause();
    go(place);
  };
  const step = (by) => jump(screen.place + by);
  const visit = (line) => jump(nextOn(recording.steps, line, screen.place));

  const controls = controlsView(recording, { step, jump, play });
  const parts = [controls, codeView(recording, visit), noteView(recording),
    printView(recording), stateView(recording)];
  const update = () => parts.forEach((part) => part.update(screen.place));
  const [bar, code, note, printed, state] = parts.map((part) => part.element);
  const title = make("p", { class: "title" }, make("b", {}, `Step through: ${recording.title}`));
  const beside = make("div", { class: "beside" }, note, printed);
  root.append(make("section", { "aria-label": `Step through: ${recording.title}` },
    title, bar, make("div", { class: "columns" }, code, beside), state));
  root.addEventListener("keydown", (event) => {
    keys(event, { step, jump, play, last });
    keepKeys(event);
  });
  update();
  return pause;
}

function controlsView(recording, { step, jump, play }) {
  const last = recording.steps.length - 1;
  const button = (label, sign, onclick) =>
    make("button", { type: "button", "aria-label": label, title: label, onclick }, sign);
  const back = button("Previous step", "←", () => step(-1));
  const next = button("Next step", "→", () => step(1));
  const start = make("button", { type: "button", class: "play", onclick: play });
  const slider = make("input", { type: "range", min: 0, max: last, step: 1, "aria-label": "Step",
    oninput: () => jump(Number(slider.value)) });
  const count = make("span", { class: "count" });
  const said = make("p", { class: "said", "aria-live": "polite" });

  function update(place) {
    slider.value = place;
    const { line } = recording.steps[place];
    slider.setAttribute("aria-valuetext", `Step ${place + 1} of ${last + 1}, line ${line}`);
    count.textContent = `${place + 1} of ${last + 1}`;
    back.setAttribute("aria-disabled", place === 0);
    next.setAttribute("aria-disabled", place === last);
    said.textContent = inWords(recording, place);
  }
  function playing(on) {
    start.textContent = on ? "❚❚ Pause" : "▶ Play";
    said.setAttribute("aria-live", on ? "off" : "polite"); // it would never come to an end
  }
  playing(false);
  return { element: make("div", { class: "bar" }, back, next, start, slider, count, said), update, playing };
}

// For who does not see the page: the line, its note, and what changed.
function inWords(recording, place) {
  const { line, changes, raised } = recording.steps[place];
  const note = make("div", { html: recording.notes[line] ?? "" }).textContent;
  const changed = changes.map(({ name, how }) => `${name} ${how}`).join(", ");
  return [`Line ${line}.`, note, changed && `${changed}.`, raised && `It raises ${raised}.`]
    .filter(Boolean).join(" ");
}

// Up and down stay with the slider when it has the focus, where they mean more and less.
function keys(event, { step, jump, play, last }) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const on = event.target;
  const actions = { ArrowRight: () => step(1), ArrowLeft: () => step(-1), Home: () => jump(0),
    End: () => jump(last) };
  if (on.type !== "range" && on.tagName !== "PRE") {
    Object.assign(actions, { ArrowDown: () => step(1), ArrowUp: () => step(-1) });
  }
  if (!on.closest(".bar button")) actions[" "] = play; // there the bar presses the button
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}
