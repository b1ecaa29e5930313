"""Policies of witnesses: threat 42, and the rules of c2sp.org/tlog-policy."""

import pytest

from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, FormatError
from ledger.core.note import COSIGNATURE_V1, ED25519, VerifierKey
from ledger.core.policy import parse_policy


def key(number, algorithm=COSIGNATURE_V1, name=None):
    public = SigningKey(bytes([number]) * 32).public
    return VerifierKey.derive(name or f"key.example/{number}", algorithm, public)


LOG = key(99, ED25519)
X1, X2, X3, Y1, Y2, Y3 = (key(n) for n in range(1, 7))
EXAMPLE = f"""
# the specification's own example
log {LOG} https://ledger.example/
witness X1 {X1}
witness X2 {X2} https://x2.example/
\twitness  X3\t{X3} \t
group X-witnesses 2 X1 X2 X3

witness Y1 {Y1}
witness Y2 {Y2}
witness Y3 {Y3}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


@pytest.mark.parametrize(
    ("cosigners", "met"),
    [
        ((), False),
        ((X1, X2), False),
        ((X1, Y1), False),
        ((Y1, Y2, Y3), False),
        ((X1, X3, Y2), True),
        ((X1, X2, X3, Y1, Y2, Y3), True),
    ],
)
def test_the_specifications_example_means_what_it_says(cosigners, met):
    assert parse_policy(EXAMPLE.encode()).is_met(cosigners) is met


def test_it_says_which_witnesses_and_groups_a_checkpoint_has():
    policy = parse_policy(EXAMPLE.encode())
    assert policy.met_by([X1, X2, Y3]) == ("X1", "X2", "Y3", "X-witnesses", "Y-witnesses", "X-and-Y")
    assert policy.met_by([X1, key(77)]) == ("X1",)
    assert policy.witnesses["X2"].url == "https://x2.example/"
    assert [(log.key, log.url) for log in policy.logs] == [(LOG, "https://ledger.example/")]


def test_quorum_none_asks_for_nobody_and_nothing_else_does():
    assert parse_policy(b"quorum none\n").is_met([])
    assert not parse_policy(f"witness a {X1}\nquorum a\n".encode()).is_met([X2])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no quorum line"),
        ("quorum none\nquorum none\n", "a second"),
        ("quorum nobody\n", "no line before it defines"),
        (f"quorum a\nwitness a {X1}\n", "no line before it defines"),
        (f"witness a {X1}\nwitness b {X1}\nquorum a\n", "stands on an earlier line"),
        (
            f"witness a {X1}\nwitness b {key(1, name='other.example/name')}\nquorum a\n",
            "stands on an earlier line",
        ),
        (f"log {LOG}\nwitness a {key(99)}\nquorum a\n", "stands on an earlier line"),
        (f"log {LOG}\nlog {LOG}\nquorum none\n", "stands on an earlier line"),
        (f"log {X1}\nquorum none\n", "is not a log's"),
        (f"witness a {LOG}\nquorum a\n", "is not a witness's"),
        (f"witness a {X1}\nwitness a {X2}\nquorum a\n", "defined already"),
        (f"witness none {X1}\nquorum none\n", "defined already"),
        (f"witness a {X1}\ngroup g any a a\nquorum g\n", "a member already"),
        (f"witness a {X1}\ngroup g any a\ngroup h any a\nquorum h\n", "a member already"),
        (f"witness a {X1}\ngroup g all g\nquorum g\n", "no line before it defines"),
        (f"witness a {X1}\ngroup g 0 a\nquorum g\n", "neither all, any nor a number"),
        (f"witness a {X1}\ngroup g 2 a\nquorum g\n", "neither all, any nor a number"),
        (f"witness a {X1}\ngroup g 01 a\nquorum g\n", "neither all, any nor a number"),
        (f"witness a {X1}\ngroup g \u0661 a\nquorum g\n", "neither all, any nor a number"),
        (f"witness a {X1}\ngroup g any\nquorum g\n", "no line of a policy"),
        (f"witness a {X1} http://a/ more\nquorum a\n", "no line of a policy"),
        (f"witness a\u00a0b {X1}x\nquorum none\n", "key"),
        ("witness a nonsense\nquorum none\n", "key"),
        ("quorum none\r\n", "control character"),
        ("quorum\x0bnone\n", "control character"),
        ("quorum none # why\n", "no line of a policy"),
    ],
)
def test_what_is_no_policy_is_refused_and_its_line_named(text, why):
    with pytest.raises(FormatError, match=why) as refused:
        parse_policy(text.encode())
    assert refused.value.code == Code.INVALID_PARAMETER


def test_names_are_octets():
    """A Kelvin sign is no K, and what is no UTF-8 is a name all the same."""
    text = b"witness K %s\nwitness \xe2\x84\xaa %s\nwitness \xff\xfe %s\ngroup g 2 K \xe2\x84\xaa\nquorum g\n"
    policy = parse_policy(text % tuple(str(each).encode() for each in (X1, X2, X3)))
    assert len(policy.witnesses) == 3
    assert not policy.is_met([X1, X3])
    assert policy.is_met([X1, X2])
