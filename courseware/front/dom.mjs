// What every widget of the course needs: making nodes, and keeping keys from the notebook.

// JupyterLab's one-letter shortcuts (b inserts a cell) fire from any focused element that does not
// say it wants its keys for itself.
const FOCUSABLE = new Set(["a", "button", "input", "summary", "textarea"]);

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (FOCUSABLE.has(tag)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "html") node.innerHTML = value; // only texts of the course, made HTML in Python
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// A notebook's own handlers would take Enter away, run its commands on letters, and Ctrl+Z would not
// reach the field. Only Ctrl+S goes on, as if it were typed outside the notebook.
export function keepKeys(event) {
  event.stopPropagation();
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
  const outside = new KeyboardEvent("keydown", event);
  document.body.dispatchEvent(outside);
  if (outside.defaultPrevented) event.preventDefault(); // else the browser saves the page as well
}
