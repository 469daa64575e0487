// Grading in the browser: the same rules as grading.py, so that feedback does not wait for a kernel
// that trains. tests/courseware/grading_cases.json runs through both. See grading.py for what they are.

const LIMIT = 1000;
const SPACE =
  /[\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]+/g;
const MINUS = /[\u2010-\u2015\u2212]/g;
const QUOTES = /["'`\u2018\u2019\u201c\u201d]/g;
const NUMBER = /^([+-]?)([0-9.,]*[0-9][0-9.,]*)(e[+-]?[0-9]{1,4})?$/;

export function grade(key, answer) {
  const graders = { single, multi, numeric, predict, order, bug };
  return graders[key.type](key, answer);
}

const graded = (status, score, ...say) => ({ status, score, say });
const right = (...say) => graded("correct", 1, ...say);

function single(key, answer) {
  if (typeof answer !== "string" || !key.options.includes(answer)) {
    return graded("invalid", 0, "pick-one");
  }
  const say = `option:${answer}`;
  return key.correct.includes(answer) ? right(say) : graded("wrong", 0, say);
}

function multi(key, answer) {
  if (!isListOf(answer, key.options) || !answer.length) return graded("invalid", 0, "pick-some");
  const picked = key.options.filter((option) => answer.includes(option));
  const hits = picked.filter((option) => key.correct.includes(option)).length;
  const extra = picked.length - hits;
  const say = picked.map((option) => `option:${option}`);
  if (hits < key.correct.length) say.push("missing");
  else if (!extra) return right(...say);
  const score = Math.max(0, hits - extra) / key.correct.length;
  return graded(score > 0 ? "partial" : "wrong", score, ...say);
}

function numeric(key, answer) {
  const problem = unreadable(answer);
  const values = problem ? [] : parseNumber(answer, key.unit);
  if (!values.length) return graded("invalid", 0, problem || "not-a-number");
  if (values.some((value) => close(value, key.answer, key))) return right("right");
  const near = key.near.findIndex((mistake) => values.some((value) => close(value, mistake, key)));
  return graded("wrong", 0, near < 0 ? "otherwise" : `near:${near}`);
}

function predict(key, answer) {
  const problem = unreadable(answer);
  if (problem) return graded("invalid", 0, problem);
  if (key.accept.some((accepted) => tidy(accepted) === tidy(answer))) return right("right");
  const near = key.near.findIndex((mistake) => tidy(mistake) === tidy(answer));
  return graded("wrong", 0, near < 0 ? "otherwise" : `near:${near}`);
}

function order(key, answer) {
  const steps = key.orders[0];
  if (!isListOf(answer, steps) || answer.length !== steps.length) {
    return graded("invalid", 0, "pick-order");
  }
  const same = (other) => other.every((step, place) => step === answer[place]);
  if (key.orders.some(same)) return right("right");
  const placed = key.orders.map((one) => one.map((step, place) => step === answer[place]));
  const score = Math.max(...placed.map((p) => p.filter(Boolean).length)) / steps.length;
  const status = score >= 0.5 ? "partial" : "wrong";
  const near = key.near.findIndex(same);
  if (near >= 0) return graded(status, score, `near:${near}`);
  const first = Math.max(...placed.map((places) => places.indexOf(false)));
  return graded(status, score, `place:${answer[first]}`);
}

function bug(key, answer) {
  const group = key.lines.findIndex((lines) => lines.includes(answer));
  if (group < 0) return graded("invalid", 0, "pick-line");
  const say = `line:${group}`;
  return key.correct.includes(group) ? right(say) : graded("wrong", 0, say);
}

function isListOf(answer, known) {
  if (!Array.isArray(answer) || !answer.every((name) => known.includes(name))) return false;
  return new Set(answer).size === answer.length;
}

function unreadable(answer) {
  if (typeof answer !== "string" || !answer.replace(SPACE, "")) return "empty";
  // Python counts characters, JavaScript UTF-16 units; the slice keeps a huge text from costing.
  return [...answer.slice(0, 2 * LIMIT + 1)].length > LIMIT ? "too-long" : "";
}

export function tidy(text) {
  return lower(
    text
      .normalize("NFKC")
      .replace(MINUS, "-")
      .split(/\r\n|\r|\n/)
      .map((line) => line.replace(QUOTES, "").replace(SPACE, ""))
      .filter(Boolean)
      .join("\n"),
  );
}

export function parseNumber(text, unit = "") {
  let bare = plain(text).replace(/^[~\u2248]+/, "").replace(/[_']/g, "");
  const tail = plain(unit);
  if (tail && bare.endsWith(tail)) bare = bare.slice(0, -tail.length);
  const parts = bare.split("/");
  if (parts.length !== 2) return decimals(bare);
  const [above, below] = parts.map(decimals);
  return above.flatMap((a) => below.filter((b) => b).map((b) => a / b)).filter(Number.isFinite);
}

function plain(text) {
  const straight = text.replace(/\u2019/g, "'").normalize("NFKC");
  return lower(straight.replace(MINUS, "-").replace(SPACE, "").replace(/\u2044/g, "/"));
}

const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

function decimals(text) {
  const match = NUMBER.exec(text);
  if (!match) return [];
  const [, sign, body, exponent = ""] = match;
  return readings(body)
    .map((reading) => Number(sign + reading + exponent))
    .filter(Number.isFinite);
}

function readings(body) {
  const grouped = (mark, rest = "") => new RegExp(`^[0-9]{1,3}(?:${mark}[0-9]{3})+${rest}$`);
  const count = (mark) => body.split(mark).length - 1;
  if (!count(",")) {
    if (count(".") <= 1) return [body];
    return grouped("\\.").test(body) ? [body.replaceAll(".", "")] : [];
  }
  if (!count(".")) {
    const asDecimal = count(",") === 1 ? body.replace(",", ".") : null;
    const leading = asDecimal !== null && body.startsWith("0");
    const asGroups = !leading && grouped(",").test(body) ? body.replaceAll(",", "") : null;
    return [asGroups, asDecimal].filter((reading) => reading !== null);
  }
  const [group, decimal] = body.lastIndexOf(".") > body.lastIndexOf(",") ? [",", "."] : [".", ","];
  if (!grouped(`\\${group}`, `\\${decimal}[0-9]*`).test(body)) return [];
  return [body.replaceAll(group, "").replace(decimal, ".")];
}

function close(value, target, key) {
  const allowed = Math.max(key.abs, key.rel * Math.abs(target)) + 1e-9 * Math.abs(target);
  return Math.abs(value - target) <= allowed;
}
