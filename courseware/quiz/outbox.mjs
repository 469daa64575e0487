// The way back to Python.

const OUTBOX = "transfer-learning-measured/outbox";
const NO_KERNEL = "The kernel that this quiz talked to is gone. Your answers are kept in this browser; " +
  "run the cell again to save them.";

// Every message waits in the browser's storage until Python says that it is saved. A kernel that is
// busy answers later; one that was restarted gets the message when the cell runs again. One that is
// sent twice, as after a reload of the page, has the same key, and Python counts it once.
export function newOutbox(model, onWarning) {
  const post = (message) => {
    try {
      model.send(message);
    } catch {
      onWarning(NO_KERNEL); // and what the learner sees goes on
    }
  };
  model.on("msg:custom", (reply) => {
    if (reply.saved) keep(waiting().filter((message) => message.key !== reply.saved));
    onWarning(reply.warning ?? "");
  });
  waitingFor(model).forEach(post);
  return (question, content) => {
    const key = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    const message = { key, question, ...content };
    keep([...waiting(), message].slice(-200));
    post(message);
  };
}

// Messages about the model's questions that Python has not saved yet, as far as it has told.
export function waitingFor(model) {
  const ids = new Set(model.get("questions").map((question) => question.id));
  const saved = new Set(model.get("saved"));
  return waiting().filter(({ key, question }) => ids.has(question) && !saved.has(key));
}

function waiting() {
  try {
    return JSON.parse(localStorage.getItem(OUTBOX)) ?? [];
  } catch {
    return []; // no storage here, or not ours
  }
}

function keep(messages) {
  try {
    localStorage.setItem(OUTBOX, JSON.stringify(messages));
  } catch {
    // No storage, as in a private window: the message is still on its way to Python.
  }
}
