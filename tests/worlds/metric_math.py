"""Arithmetic of CloudWatch's metric math, for a server that only hands single metrics through."""

from __future__ import annotations

import ast
import operator

SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def install(monkeypatch):
    """Let the server compute + - * / of metrics and numbers."""
    monkeypatch.setattr("moto.cloudwatch.models.parse_expression", computed)


def computed(expression, results):
    """Values and stamps, where each metric that is named has a point; what divides by zero has none."""
    tree = ast.parse(expression, mode="eval").body
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    points = {one["id"]: dict(zip(one["timestamps"], one["values"], strict=True)) for one in results}
    stamps = sorted(set.intersection(*(set(points[name]) for name in named)))
    found = {}
    for stamp in stamps:
        try:
            found[stamp] = _value(tree, {name: points[name][stamp] for name in named})
        except ZeroDivisionError:
            continue
    return list(found.values()), list(found)


def _value(node, at):
    if isinstance(node, ast.BinOp):
        return SIGNS[type(node.op)](_value(node.left, at), _value(node.right, at))
    return at[node.id] if isinstance(node, ast.Name) else float(node.value)
