// One question, or a set of them with a bar to move in it and a score by concept.

import { make } from "../front/dom.mjs";
import { finalButtons } from "./final.mjs";
import { newState, questionView, sectionOf } from "./question.mjs";

export function quizView(model, screen) {
  const messages = model.get("messages");
  const [bar, box, score] = [make("div"), make("div"), make("div")];
  const warning = make("p", { class: "warning", role: "status" });
  let asked = [];
  let nav = null;

  function ask(questions) {
    asked = questions;
    nav = navigation(model.get("title"), asked, screen, show);
    bar.replaceChildren(nav.element);
    show(Math.min(screen.current, asked.length - 1));
  }
  function show(place) {
    screen.current = place;
    const question = asked[place];
    const view = questionView(question, screen.states.get(question.id), messages, (content) => {
      screen.outbox(question.id, content);
      update();
    });
    const which = asked.length > 1 ? `Question ${place + 1} of ${asked.length}` : "Question";
    const name = { "aria-label": `${which}: ${question.concept}` };
    box.replaceChildren(make("section", name, view, goBack(question)));
    update();
  }
  function update() {
    nav.update();
    warn();
    if (screen.questions.length === 1) return;
    const open = asked.some((question) => screen.states.get(question.id).first === undefined);
    const final = model.get("mode") === "final" && !open;
    score.replaceChildren(scoreTable(asked, screen, final));
    if (final) score.append(finalButtons(model, screen, asked, retry));
  }
  function retry(failed) {
    for (const { id } of failed) screen.states.set(id, newState(screen.states.get(id).record));
    screen.chosen = failed;
    screen.current = 0;
    ask(failed);
    box.querySelector("input, textarea, button").focus(); // the button that was pressed is gone
  }
  // Only this when Python answers: drawing the score anew would take the focus away from it.
  function warn() {
    warning.textContent = screen.warning;
  }
  screen.redraw = warn;
  ask(screen.chosen ?? screen.questions);
  const title = make("p", { class: "title" }, make("b", {}, model.get("title")));
  const several = screen.questions.length > 1;
  return make("div", {}, ...(several ? [title, bar] : []), box, score, warning);
}

// The bar of numbered buttons. It is made once and then only relabelled: whoever goes through it by
// keyboard keeps the focus.
function navigation(title, questions, screen, show) {
  const button = (attributes, text = "") => make("button", { type: "button", ...attributes }, text);
  const step = (by) => questions[screen.current + by] && show(screen.current + by);
  const numbers = questions.map((question, place) => button({ onclick: () => show(place) }));
  const back = button({ "aria-label": "Previous question", onclick: () => step(-1) }, "←");
  const next = button({ "aria-label": "Next question", onclick: () => step(1) }, "→");
  const element = make("nav", { "aria-label": `Questions of ${title}` }, back, ...numbers, next);
  const update = () => {
    back.setAttribute("aria-disabled", screen.current === 0);
    next.setAttribute("aria-disabled", screen.current === questions.length - 1);
    for (const [place, number] of numbers.entries()) {
      const mark = markOf(screen.states.get(questions[place].id));
      number.textContent = `${place + 1}${mark.sign}`;
      number.setAttribute("aria-label", `Question ${place + 1}${mark.told}`);
      if (place === screen.current) number.setAttribute("aria-current", "true");
      else number.removeAttribute("aria-current");
    }
  };
  return { element, update };
}

function markOf(state) {
  if (state.record?.best === 1) return { sign: "✔", told: ", right" };
  if (state.record?.tries) return { sign: "✘", told: ", not right yet" };
  return { sign: "", told: "" };
}

function scoreTable(questions, screen, final) {
  const concepts = new Map();
  for (const question of questions) {
    const row = concepts.get(question.concept) ?? { right: 0, total: 0, failed: [] };
    const state = screen.states.get(question.id);
    const isRight = final ? state.first === 1 : state.record?.best === 1;
    row.total += 1;
    row.right += isRight;
    if (!isRight && state.record?.tries) row.failed.push(question);
    concepts.set(question.concept, row);
  }
  const right = [...concepts.values()].reduce((sum, row) => sum + row.right, 0);
  const rows = [...concepts].map(([concept, row]) =>
    make("tr", {}, make("th", { scope: "row" }, concept),
      make("td", {}, `${row.right} of ${row.total}`),
      make("td", {}, ...(row.right < row.total ? links(row.failed) : ["✔"]))),
  );
  const told = final ? "right at the first try" : "right";
  const heading = `${right} of ${questions.length} ${told}`;
  const head = make("tr", {}, ...["Concept", "Right", "To read again"].map((name) =>
    make("th", { scope: "col" }, name)));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
  const summary = make("summary", {}, heading, " · by concept");
  const details = make("details", { class: "score", open: final || screen.open === true,
    ontoggle: () => { screen.open = details.open; } }, summary, table);
  return details;
}

// A relative link works where the page's address is that of the notebook, as in JupyterLab.
function links(questions) {
  const here = /\/tree\/.*\.ipynb$/.test(location.pathname);
  const sections = new Map(questions.map((q) => [`${q.lesson.slice(0, 2)} · ${sectionOf(q)}`, q]));
  return [...sections].map(([text, q]) => {
    const link = make(here ? "a" : "span", { class: "section" }, text);
    if (here) Object.assign(link, { href: `${q.lesson}.ipynb`, target: "_blank" });
    return link;
  });
}

function goBack(question) {
  const wanted = sectionOf(question);
  const heading = () => [...document.querySelectorAll("h2, h3")].find((node) =>
    node.textContent.replace(/¶$/, "").trim() === wanted);
  const jump = () => heading()?.scrollIntoView({ block: "start" });
  const where = heading() ? make("button", { type: "button", class: "quiet", onclick: jump }, wanted)
    : make("span", {}, `${question.lesson.slice(0, 2)}, ${wanted}`);
  return make("p", { class: "meta" }, "Goes back to: ", where);
}
