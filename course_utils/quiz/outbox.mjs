// The way back to Python.

const OUTBOX = "transfer-learning-measured/outbox";
const sentHere = new Set(); // by this page: not to be sent again by another quiz of the same page

// Every message waits in the browser's storage until Python says that it is saved. A kernel that is
// busy answers later; one that was restarted gets the message when the cell runs again.
function newOutbox(model, questions, onWarning) {
  const mine = new Set(questions.map((question) => question.id));
  const post = (message) => {
    sentHere.add(message.key);
    model.send(message);
  };
  model.on("msg:custom", (reply) => {
    if (reply.saved) keep(waiting().filter((message) => message.key !== reply.saved));
    onWarning(reply.warning ?? "");
  });
  waiting()
    .filter((message) => mine.has(message.question) && !sentHere.has(message.key))
    .forEach(post);
  return (question, content) => {
    const key = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    const message = { key, question, ...content };
    keep([...waiting(), message].slice(-200));
    post(message);
  };
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
