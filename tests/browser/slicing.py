"""What of a notebook has to run before some of its cells can: what made the things they use.

Judged by names alone, and generously: a line too many costs time, one too few is seen at once.
"""

from __future__ import annotations

import ast

_NESTED = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_COMPOUND = (ast.For, ast.While, ast.With, ast.If, ast.Try)
# Calls of these, or of what they hold, change nothing that a later cell uses.
_TELL = {"print", "claim", "quiz", "check", "display", "pd", "plt", "plots", "axis", "axes"}


def sliced(sources: list[str], wanted: set[int]) -> list[str]:
    """The cells with nothing left in them but what the ``wanted`` ones, which stay whole, need."""
    names: set[str] = set()
    kept = []
    for number, source in reversed(list(enumerate(sources))):
        lines = []
        for statement in reversed(ast.parse(source).body):
            stored, touched = _stored(statement), _touched(statement)
            if number in wanted or names & (stored | touched):
                names = names - (stored - touched) | used(statement)
                lines.insert(0, ast.unparse(statement))
        kept.insert(0, source if number in wanted else "\n".join(lines))
    return kept


def used(statement: ast.stmt) -> set[str]:
    """Names that a statement needs from before."""
    needs = _loaded(statement) | _touched(statement)
    return needs - _stored(statement) if isinstance(statement, _COMPOUND) else needs


def _stored(node: ast.AST) -> set[str]:
    """Names bound by a statement, not those inside of its functions and comprehensions."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, _NESTED):
        return set()
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    return set().union(*(_stored(child) for child in ast.iter_child_nodes(node)))


def _loaded(node: ast.AST) -> set[str]:
    """Names a statement reads from outside, its functions' and comprehensions' own left out."""
    found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else set()
    for child in ast.iter_child_nodes(node):
        found |= _loaded(child)
    if isinstance(node, _NESTED):
        own = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & _bound_inside(node)
        return found - own - {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
    return found


def _bound_inside(node: ast.AST) -> set[str]:
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _touched(statement: ast.stmt) -> set[str]:
    """Names of things that may change: ``x.a = …``, ``x[i] = …``, ``x += …``, ``x.f(y)``."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return set()
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            found.add(_root(node))
        elif isinstance(node, ast.AugAssign):
            found.add(_root(node.target))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = _root(node.value.func)
            if function not in _TELL:
                found |= {function, *map(_root, node.value.args)}
    return found - {""}


def _root(node: ast.expr) -> str:
    """The name at the left end of ``x.a[i](…).b``."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
