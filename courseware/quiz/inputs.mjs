// The part of a question that takes the answer: one builder for each type of question. Each returns
// { element, read, write }: read() gives the answer as `grade` takes it, write() puts one back.

import { make } from "../front/dom.mjs";

export function makeInput(question, name, changed) {
  const builders = {
    single: choiceInput,
    multi: choiceInput,
    numeric: textInput,
    predict: textInput,
    order: orderInput,
    bug: lineInput,
  };
  return builders[question.type](question, name, changed);
}

function choiceInput(question, name, changed) {
  const type = question.type === "single" ? "radio" : "checkbox";
  const boxes = question.options.map((option) =>
    make("input", { type, name, value: option.id, onchange: changed }),
  );
  const rows = question.options.map((option, place) =>
    make(
      "label",
      { class: "option" },
      boxes[place],
      make("b", {}, option.letter),
      make("span", { html: option.html }),
    ),
  );
  const ticked = () => boxes.filter((box) => box.checked).map((box) => box.value);
  return {
    element: make("div", { class: "options" }, ...rows),
    read: () => (type === "radio" ? (ticked()[0] ?? null) : ticked()),
    write: (answer) => {
      for (const box of boxes) box.checked = [answer].flat().includes(box.value);
    },
  };
}

function lineInput(question, name, changed) {
  const boxes = [];
  const rows = question.lines.map((line) => {
    const code = make("code", { html: line.html || " " });
    const number = make("span", { class: "number" }, String(line.number));
    if (!line.pick) return make("div", { class: "line" }, make("i"), number, code);
    const box = make("input", { type: "radio", name, value: line.number, onchange: changed });
    boxes.push(box);
    return make("label", { class: "line pick" }, box, number, code);
  });
  const picked = () => boxes.find((box) => box.checked);
  return {
    element: make("div", { class: "lines" }, ...rows),
    read: () => (picked() ? Number(picked().value) : null),
    write: (answer) => {
      for (const box of boxes) box.checked = Number(box.value) === answer;
    },
  };
}

function textInput(question, name, changed) {
  const field = make(question.rows > 1 ? "textarea" : "input", {
    "aria-label": question.type === "numeric" ? "Your number" : "The printed output",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    placeholder: question.type === "numeric" ? "a number" : "what is printed",
    oninput: changed,
  });
  if (question.rows > 1) field.rows = question.rows + 1;
  else field.type = "text";
  if (question.type === "numeric") field.inputMode = "decimal";
  return {
    element: make("div", { class: "typed" }, field, make("span", {}, question.unit || "")),
    read: () => field.value,
    write: (answer) => {
      field.value = answer ?? "";
    },
  };
}

function orderInput(question, name, changed) {
  const list = make("ol", { class: "steps" });
  const start = question.options.map((option) => option.id);
  const rows = new Map(question.options.map((option) => [option.id, stepRow(option, move)]));
  function move(row, by) {
    const target = [...list.children][[...list.children].indexOf(row) + by];
    if (!target) return;
    if (by < 0) target.before(row);
    else target.after(row);
    changed();
  }
  const write = (answer) => list.replaceChildren(...(answer ?? start).map((id) => rows.get(id).row));
  write(start);
  const idOf = (row) => [...rows].find(([, entry]) => entry.row === row)[0];
  return { element: list, read: () => [...list.children].map(idOf), write };
}

function stepRow(option, move) {
  const text = make("span", { html: option.html });
  const row = make("li", {}, text);
  const button = (label, sign, by) => {
    const attributes = {
      type: "button",
      "aria-label": `Move ${label}: ${text.textContent}`,
      onclick: (event) => {
        move(row, by);
        event.currentTarget.focus(); // moving a node takes the focus away
      },
    };
    return make("button", attributes, sign);
  };
  row.prepend(make("span", { class: "movers" }, button("up", "↑", -1), button("down", "↓", 1)));
  return { row };
}
