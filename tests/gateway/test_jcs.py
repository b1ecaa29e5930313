"""The canonical form under a tool's digest is RFC 8785, by another's judgement."""

import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.gateway.jcs import canonical

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
)


@given(VALUES)
def test_it_is_what_rfc8785_makes_of_the_same_value(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(ValueError):
        canonical({"a": [value]})
