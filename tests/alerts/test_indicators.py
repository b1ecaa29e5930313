"""`indicators` on a real log: in facts and contents, by text, domain and digest; the list changes while the server runs."""

import json
import time
from hashlib import sha256

RULE = '[[rule]]\nname = "ioc"\nkind = "indicators"\nfile = "{}"\n'


def listed(watched, text, more=""):
    path = watched.folder / "indicators.txt"
    path.write_text(text)
    watched.start(RULE.format(path) + more)
    return path


def test_an_indicator_in_a_content_is_named_with_its_place_and_the_content_is_not_shown(watched):
    listed(watched, "domain evil.example\nliteral us122000000121212121212\n")
    _, seq, _ = watched.post(
        {"tool": {"name": "t", "arguments": {"to": "bob"}}},
        {
            "tool": {
                "name": "t",
                "arguments": {
                    "note": "canary https:\\u002f\\u002fx.evil.example/",
                    "iban": "US122000000121212121212",
                },
            }
        },
        {},
    )
    (alert,) = watched.settled()
    assert alert["seq"] == seq
    assert sorted((each["kind"], each["in"]) for each in alert["because"]["indicators"]) == [
        ("domain", "tool.arguments"),
        ("literal", "tool.arguments"),
    ]
    assert "canary" not in json.dumps(alert)


def test_an_indicator_in_a_fact_is_found_though_contents_are_not_looked_at(watched):
    listed(watched, "domain evil.example\n", "contents = false\n")
    _, seq = watched.post(
        {"tool": {"name": "t", "arguments": {"to": "x.evil.example"}}},
        {"resource": {"destination": "EVIL.example"}},
    )
    assert watched.places() == [seq]


def test_a_content_is_found_by_its_digest(watched):
    text = "the poisoned document"
    listed(watched, f"sha256 {sha256(text.encode()).hexdigest()}\n")
    _, seq = watched.post({"outcome": {"result": text + "!"}}, {"outcome": {"result": text}})
    assert watched.places() == [seq]


def test_a_list_that_changes_is_read_again_and_one_that_is_broken_is_not_taken(watched, caplog):
    path = listed(watched, "literal first-one\n")
    watched.post({"resource": {"id": "second-one"}})
    assert watched.places() == []
    path.write_text("literal first-one\nliteral second-one\n")
    time.sleep(2.5)
    (seq,) = watched.post({"resource": {"id": "second-one"}})
    assert watched.places() == [seq]
    path.write_text("nonsense\n")
    time.sleep(2.5)
    (again,) = watched.post({"resource": {"id": "first-one"}})
    assert watched.places() == [seq, again]
    assert "stays as it was" in caplog.text
