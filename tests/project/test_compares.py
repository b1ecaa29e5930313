"""A secret is compared in the same time whatever it is: `hmac.compare_digest`, never `==`."""

import ast
import re

from tests.project.tree import place, python

WORDS = "secret|token|password|passphrase|bearer|mac|hmac|presented|authorization"
SECRET = re.compile(rf"(^|_)({WORDS})s?$")
SPELT = re.compile(rf"({WORDS})s? *[=!]=|[=!]= *[\w.]*({WORDS})s?\b")  # parsing every file takes seconds


def named(node: ast.expr) -> set[str]:
    """The names of what is compared, not of what is looked up in it or called with it."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    return set()


def test_nothing_that_is_called_a_secret_is_compared_by_equality():
    found = [
        place(path, node.lineno)
        for path, text in python("ledger")
        if SPELT.search(text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Compare) and any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
        for side in (node.left, *node.comparators)
        if any(SECRET.search(name) for name in named(side))
    ]
    assert found == []
