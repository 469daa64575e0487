// Recap cards: a question on the front, its answer and solution on the back.

import { make } from "../front/dom.mjs";

export function recapView(model, screen) {
  const box = make("div");
  const turn = (turned) => {
    screen.turned = turned;
    draw();
  };
  const step = (by) => {
    screen.current = (screen.current + by + screen.questions.length) % screen.questions.length;
    turn(false);
  };
  const flip = make("button", { type: "button", class: "primary", onclick: () => turn(!screen.turned) });
  const back = make("button", { type: "button", onclick: () => step(-1) }, "← Previous");
  const next = make("button", { type: "button", onclick: () => step(1) }, "Next →");
  function draw() {
    const question = screen.questions[screen.current];
    const told = `Card ${screen.current + 1} of ${screen.questions.length} · ${question.concept}`;
    const card = make("div", { class: "card" }, make("p", { class: "meta" }, told),
      make("div", { html: question.prompt }), make("div", { class: "code", html: codeOf(question) }),
      ...(screen.turned ? backOfCard(question) : optionsOf(question)));
    box.replaceChildren(card);
    flip.textContent = screen.turned ? "Turn back" : "Turn over";
  }
  draw();
  const title = make("p", { class: "title" }, make("b", {}, model.get("title")));
  const live = make("div", { "aria-live": "polite" }, box);
  return make("div", {}, title, live, make("div", { class: "row" }, flip, back, next));
}

function codeOf(question) {
  const lines = question.lines?.map((line) => line.html).join("\n");
  return lines ? `<pre><code>${lines}</code></pre>` : question.code;
}

function optionsOf(question) {
  return (question.options ?? []).map((option) =>
    make("div", { class: "option" }, make("b", {}, option.letter),
      make("span", { html: option.html })));
}

function backOfCard(question) {
  const steps = question.solution.map((text) => make("li", { html: text }));
  const answer = make("div", { class: "note right" }, make("div", { html: question.answer }));
  return [answer, make("ol", {}, ...steps)];
}
