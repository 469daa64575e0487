"""Grading: is an answer right, and which feedback does it get?

grading.mjs does the same in the browser, so that feedback does not wait for a busy kernel. The
cases in tests/courseware/grading_cases.json run through both. A grade names its feedback by codes;
the texts belong to the question, so no answer of a learner ever becomes markup.
"""

from __future__ import annotations

import math
import re
import unicodedata

LIMIT = 1000  # characters of an answer: more than any question asks for
# Spelled out: what \s means is not the same in Python and in JavaScript.
_SPACE = re.compile(
    r"[\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]+"
)
_MINUS = re.compile(r"[\u2010-\u2015\u2212]")
_QUOTES = re.compile(r"[\"'`\u2018\u2019\u201c\u201d]")
_NUMBER = re.compile(r"([+-]?)([0-9.,]*[0-9][0-9.,]*)(e[+-]?[0-9]{1,4})?")


def answer_key(question) -> dict:
    """What a grader needs of a `bank` question, as plain data: ids, numbers and texts."""
    key = {"type": question.type}
    if question.type in ("single", "multi"):
        key["options"] = [option.id for option in question.options]
        key["correct"] = [option.id for option in question.options if option.correct]
    elif question.type == "numeric":
        tolerance = {"abs": question.tol.abs, "rel": question.tol.rel}
        key |= {"answer": question.answer, "unit": question.unit} | tolerance
        key["near"] = [near.value for near in question.near]
    elif question.type == "predict":
        key |= {"accept": question.accept, "near": [near.value for near in question.near]}
    elif question.type == "order":
        key |= {"orders": question.orders, "near": [near.order for near in question.near]}
    else:
        key["lines"] = [option.lines for option in question.options]
        key["correct"] = [place for place, option in enumerate(question.options) if option.correct]
    return key


def grade(key: dict, answer) -> dict:
    """Grade one answer.

    Parameters
    ----------
    key : from `answer_key`
    answer : the id of an option (single), a list of ids (multi, order), the text that was typed
        (numeric, predict), or the number of a line (bug); anything else is graded "invalid"

    Returns
    -------
    dict with ``status`` ("correct", "partial", "wrong", or "invalid": not an answer yet, and no
    try), ``score`` from 0 to 1, and ``say``, the codes of the feedback in order
    """
    graders = {
        "single": _single,
        "multi": _multi,
        "numeric": _numeric,
        "predict": _predict,
        "order": _order,
        "bug": _bug,
    }
    return graders[key["type"]](key, answer)


def _grade(status: str, score: float, *say: str) -> dict:
    return {"status": status, "score": score, "say": list(say)}


def _right(*say: str) -> dict:
    return _grade("correct", 1.0, *say)


def _single(key: dict, answer) -> dict:
    if not isinstance(answer, str) or answer not in key["options"]:
        return _grade("invalid", 0.0, "pick-one")
    say = f"option:{answer}"
    return _right(say) if answer in key["correct"] else _grade("wrong", 0.0, say)


def _multi(key: dict, answer) -> dict:
    if not _is_list_of(answer, key["options"]) or not answer:
        return _grade("invalid", 0.0, "pick-some")
    picked = [option for option in key["options"] if option in answer]
    hits = sum(option in key["correct"] for option in picked)
    extra = len(picked) - hits
    say = [f"option:{option}" for option in picked]
    if hits < len(key["correct"]):
        say.append("missing")
    elif not extra:
        return _right(*say)
    score = max(0, hits - extra) / len(key["correct"])
    return _grade("partial" if score > 0 else "wrong", score, *say)


def _numeric(key: dict, answer) -> dict:
    problem = _unreadable(answer)
    values = [] if problem else parse_number(answer, key["unit"])
    if not values:
        return _grade("invalid", 0.0, problem or "not-a-number")
    if any(_close(value, key["answer"], key) for value in values):
        return _right("right")
    for place, near in enumerate(key["near"]):
        if any(_close(value, near, key) for value in values):
            return _grade("wrong", 0.0, f"near:{place}")
    return _grade("wrong", 0.0, "otherwise")


def _predict(key: dict, answer) -> dict:
    problem = _unreadable(answer)
    if problem:
        return _grade("invalid", 0.0, problem)
    if tidy(answer) in [tidy(accepted) for accepted in key["accept"]]:
        return _right("right")
    for place, near in enumerate(key["near"]):
        if tidy(answer) == tidy(near):
            return _grade("wrong", 0.0, f"near:{place}")
    return _grade("wrong", 0.0, "otherwise")


def _order(key: dict, answer) -> dict:
    steps = key["orders"][0]
    if not _is_list_of(answer, steps) or len(answer) != len(steps):
        return _grade("invalid", 0.0, "pick-order")
    if answer in key["orders"]:
        return _right("right")
    placed = [[a == b for a, b in zip(answer, order, strict=True)] for order in key["orders"]]
    score = max(sum(places) for places in placed) / len(steps)
    status = "partial" if score >= 0.5 else "wrong"
    if answer in key["near"]:
        return _grade(status, score, f"near:{key['near'].index(answer)}")
    # The first step that is out of place, seen from the right order that agrees longest.
    first = max(places.index(False) for places in placed)
    return _grade(status, score, f"place:{answer[first]}")


def _bug(key: dict, answer) -> dict:
    groups = [place for place, lines in enumerate(key["lines"]) if answer in lines]
    if isinstance(answer, bool) or not isinstance(answer, int) or not groups:
        return _grade("invalid", 0.0, "pick-line")
    say = f"line:{groups[0]}"
    return _right(say) if groups[0] in key["correct"] else _grade("wrong", 0.0, say)


def _is_list_of(answer, known: list[str]) -> bool:
    """Whether the answer is a list of known ids, none of them twice."""
    if not isinstance(answer, list) or not all(isinstance(name, str) for name in answer):
        return False
    return len(set(answer)) == len(answer) and set(answer) <= set(known)


def _unreadable(answer) -> str:
    """Why this is no text to grade, as a feedback code; "" when it is."""
    if not isinstance(answer, str) or not _SPACE.sub("", answer):
        return "empty"
    return "too-long" if len(answer) > LIMIT else ""


def tidy(text: str) -> str:
    """A printed text without what does not matter: spaces, quotes, case of ASCII letters, empty
    lines. Line breaks between lines stay; a typographic minus is a minus."""
    text = _MINUS.sub("-", unicodedata.normalize("NFKC", text))
    lines = (_SPACE.sub("", _QUOTES.sub("", line)) for line in re.split(r"\r\n|\r|\n", text))
    return _lower("\n".join(line for line in lines if line))


def parse_number(text: str, unit: str = "") -> list[float]:
    """Every number that a text can mean; none when it is not a number.

    Reads 448, -1.5e-3, 1,5 and .5 and 3/4, grouped digits (11,689,512 and 11_689_512), a
    typographic minus, a sign for "about", and the ``unit`` after the number. "11,689" can be
    grouped digits or a decimal comma: both are returned.
    """
    text = _plain(text).lstrip("~\u2248").replace("_", "").replace("'", "")
    unit = _plain(unit)
    if unit and text.endswith(unit):
        text = text[: -len(unit)]
    if text.count("/") != 1:
        return _decimals(text)
    above, below = (_decimals(part) for part in text.split("/"))
    return [a / b for a in above for b in below if b and math.isfinite(a / b)]


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.replace("\u2019", "'"))
    return _lower(_SPACE.sub("", _MINUS.sub("-", text)).replace("\u2044", "/"))


def _lower(text: str) -> str:
    # Not str.lower(): for some letters JavaScript's disagrees with Python's.
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def _decimals(text: str) -> list[float]:
    match = _NUMBER.fullmatch(text)
    if not match:
        return []
    sign, body, exponent = match[1], match[2], match[3] or ""
    values = [float(sign + reading + exponent) for reading in _readings(body)]
    return [value for value in values if math.isfinite(value)]


def _readings(body: str) -> list[str]:
    """Digits, dots and commas as Python numerals: which mark groups, and which is decimal?"""
    grouped = r"[0-9]{1,3}(?:%s[0-9]{3})+"
    if "," not in body:
        if body.count(".") <= 1:
            return [body]
        return [body.replace(".", "")] if re.fullmatch(grouped % r"\.", body) else []
    if "." not in body:
        as_groups = body.replace(",", "") if re.fullmatch(grouped % ",", body) else None
        as_decimal = body.replace(",", ".") if body.count(",") == 1 else None
        leading = as_decimal is not None and body.startswith("0")  # 0,023 groups nothing
        return [reading for reading in (None if leading else as_groups, as_decimal) if reading]
    group, decimal = (",", ".") if body.rfind(".") > body.rfind(",") else (".", ",")
    if not re.fullmatch(grouped % re.escape(group) + re.escape(decimal) + "[0-9]*", body):
        return []
    return [body.replace(group, "").replace(decimal, ".")]


def _close(value: float, target: float, key: dict) -> bool:
    # The last term lets rounding in the sixteenth digit pass where no tolerance is given.
    allowed = max(key["abs"], key["rel"] * abs(target)) + 1e-9 * abs(target)
    return abs(value - target) <= allowed
