// What a recording holds at one of its steps. Nothing here knows of a page.

// The variables after step `place`, in the order in which they appeared, each with its last change.
export function variablesAt(steps, place) {
  const variables = new Map();
  for (const step of steps.slice(0, place + 1)) {
    for (const [name, known] of variables) {
      if (known.how === "gone") variables.delete(name);
      else variables.set(name, { ...known, how: "", told: [] });
    }
    for (const change of step.changes) {
      const text = change.text ?? variables.get(change.name)?.text ?? "";
      variables.set(change.name, { told: [], ...change, text });
    }
  }
  return variables;
}

// All that was printed up to step `place`, and how much of it before that step.
export function printedAt(steps, place) {
  const before = steps.slice(0, place).map((step) => step.printed ?? "").join("");
  return { before, now: steps[place].printed ?? "" };
}

// The next step on a line after `place`, from the start again where there is none; -1: never ran.
export function nextOn(steps, line, place) {
  const later = steps.findIndex((step, number) => number > place && step.line === line);
  return later >= 0 ? later : steps.findIndex((step) => step.line === line);
}
