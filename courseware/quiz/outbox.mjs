// The way back to Python.

const OUTBOX = "transfer-learning-measured/outbox";
const NO_KERNEL = "The kernel that this quiz talked to is gone. Your answers are kept in this browser; " +
  "run the cell again to save them.";

// Every message waits in the browser's storage until Python says that a file holds it. A kernel that
// is busy answers later; one that was restarted gets the message when the cell runs again. One that
// is sent twice, as after a reload of the page, has the same key, and Python counts it once.
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
  waiting().filter((message) => isAsked(model, message)).forEach(post);
  return (question, content) => {
    const key = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    const message = { key, question, ...content };
    keep([...waiting(), message].slice(-200));
    post(message);
  };
}

// Messages about the model's questions that its records do not hold yet.
export function waitingFor(model) {
  const saved = new Set(model.get("saved"));
  return waiting().filter((message) => isAsked(model, message) && !saved.has(message.key));
}

function isAsked(model, { question }) {
  return model.get("questions").some(({ id }) => id === question);
}

function waiting() {
  try {
    const kept = JSON.parse(localStorage.getItem(OUTBOX));
    return Array.isArray(kept) ? kept.filter(isMessage) : [];
  } catch {
    return []; // no storage here, or not ours
  }
}

// Other programs of this address, and other versions of the course, may write there, too.
function isMessage(message) {
  const { key, question, what, status, score } = message ?? {};
  if (typeof key !== "string" || typeof question !== "string") return false;
  if (what === "answer") return typeof status === "string" && Number.isFinite(score);
  return what === "hint" || what === "final";
}

function keep(messages) {
  try {
    localStorage.setItem(OUTBOX, JSON.stringify(messages));
  } catch {
    // No storage, as in a private window: the message is still on its way to Python.
  }
}
