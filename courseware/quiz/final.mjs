// The end of a final quiz: try again what failed, keep the result.

import { make } from "../front/dom.mjs";
import { sectionOf } from "./question.mjs";

export function finalButtons(model, screen, questions, retry) {
  const scores = Object.fromEntries(questions.map((q) => [q.id, screen.states.get(q.id).first]));
  const failed = questions.filter((question) => scores[question.id] < 1);
  if (!screen.chosen && !screen.told) {
    screen.told = true;
    screen.outbox(questions[0].id, { what: "final", scores });
  }
  const which = failed.length === 1 ? "the one that was" : `the ${failed.length} that were`;
  const again = make("button", { type: "button", class: "primary", onclick: () => retry(failed) },
    `Again: ${which} not right`);
  const save = make("button", { type: "button", onclick: () => download(model, questions, scores) },
    "Save this result");
  return make("div", { class: "row" }, ...(failed.length ? [again] : []), save);
}

function download(model, questions, scores) {
  const right = questions.filter((question) => scores[question.id] === 1).length;
  const lines = questions.map((question) => {
    const mark = scores[question.id] === 1 ? "right" : "to go over";
    return `- ${mark}: ${question.concept} (lesson ${question.lesson.slice(0, 2)}, ${sectionOf(question)})`;
  });
  const head = `# ${model.get("title")}\n\n${new Date().toISOString().slice(0, 10)}: `;
  const text = `${head}${right} of ${questions.length} right at the first try\n\n${lines.join("\n")}\n`;
  const address = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
  make("a", { href: address, download: "final-quiz.md" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
