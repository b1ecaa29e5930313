"""What the log itself says of the truth of what it holds."""

import pytest

from tests.queries.told import Case, Story, at, case, names, of, told


def note(
    identifier: str,
    clock: str,
    recorded: str,
    source: str | None = None,
    number: int | None = None,
    **members,
):
    place = (
        {} if source is None else {"source_id": source} | ({} if number is None else {"source_seq": number})
    )
    return {**told(identifier, clock, type="note", **place, **members), "recorded": recorded}


STORY = [
    note("0", "09:00", "09:00:01", "good", 1),
    note("1", "09:01", "09:01:01", "good", 2),
    note("2", "09:02", "09:02:01", "spool", 1),
    note("3", "08:00", "09:03", "spool", 2),
    note("4", "08:00", "09:10", "spool", 3),
    note("5", "10:00", "09:11", "fast", 1),
    note("6", "09:12:03", "09:12", "nearly"),
    note("7", "09:14:30", "09:15", "wild", 2),
    note("8", "09:14:59", "09:15", "wild", 1),
    note("9", "09:14:00", "09:15", "wild", 3),
    {**note("10", "09:20", "09:20", "good", 3), "by": "token:other"},
    note("11", "09:30", "09:30", "good", 3),
    note("12", "11:00", "11:00", "good", 4),
    note("13", "11:00", "11:30", "end"),
]  # fmt: skip

CASES = [
    case("late-records", "source_id late of median_minutes latest_minutes latest_seq", [["spool", 2, 3, 66.5, 70.0, 4], ["end", 1, 1, 30.0, 30.0, 13]]),
    case("late-records", "source_id late", [["spool", 1]], minutes=65),
    case("late-records", "source_id", [["end"]], since="2026-11-21T11:00:00Z"),
    case("clock-skew", "source_id from_the_future furthest_seconds backwards furthest_back_seconds first_seq", [
        ["wild", 0, None, 2, 30.0, 7], ["fast", 1, 2940.0, 0, None, 5], ["spool", 0, None, 1, 3720.0, 3]]),
    case("clock-skew", "source_id", [["fast"], ["spool"]], seconds=60),
    case("silent-sources", "source_id submitter silent_minutes longest_pause_minutes last_seq", [
        ["spool", "token:test", 140.0, 7.0, 4], ["fast", "token:test", 139.0, 0.0, 5], ["nearly", "token:test", 138.0, 0.0, 6],
        ["wild", "token:test", 135.0, 0.0, 9], ["good", "token:other", 130.0, 0.0, 10]]),
    case("silent-sources", "source_id", [["spool"]], minutes=140),
]  # fmt: skip


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(*STORY)


@pytest.mark.parametrize("told", CASES, ids=names(CASES))
def test_the_answer_is_these_rows_and_no_others(story: Story, told: Case):
    assert of(story.ask(told.query, **told.given), *told.columns) == told.rows


def test_a_submitter_that_hardly_ever_speaks_for_an_agent_is_named_and_one_that_shares_the_work_is_not():
    def call(number: int, agent: str, by: str, recorded: str = "09:00"):
        return {
            **told(
                f"{agent}-{number}", "09:00", tool_name="t", identity_agent_id=agent, source_id=f"sdk-{by}"
            ),
            "by": by,
            "recorded": recorded,
        }

    story = Story(
        *[call(n, "clerk", "usual") for n in range(30)], call(30, "clerk", "thief", "12:00"),
        *[call(n, "shared", "one") for n in range(5)], *[call(n + 5, "shared", "two", "10:00") for n in range(4)],
        call(0, "own", "thief"),
    )  # fmt: skip
    columns = "agent", "submitter", "records", "percent", "usual", "sources"
    row = ["clerk", "thief", 1, 3.23, "usual", ["sdk-thief"]]
    assert of(story.ask("unusual-submitter"), *columns) == [row]
    assert story.ask("unusual-submitter", percent=3) == []
    later = story.ask("unusual-submitter", percent=0, baseline_until="2026-11-21T09:30:00Z")
    assert of(later, "agent", "submitter") == [["shared", "two"], ["clerk", "thief"]]


def test_records_that_contradict_each_other_are_named_and_those_that_complete_each_other_are_not():
    def stage(identifier: str, clock: str, action: str, kind: str, **members):
        return told(identifier, clock, type=f"action.{kind}", action_id=action, **members)

    story = Story(
        stage(
            "0", "09:00", "a", "intent", tool_name="pay", tool_arguments={"to": 1}, identity_agent_id="clerk"
        ),
        stage(
            "1", "09:01", "a", "outcome", tool_name="pay", tool_arguments={"to": 2}, outcome_status="success"
        ),
        stage("2", "09:02", "b", "intent", tool_name="pay", tool_arguments={"to": 1}),
        stage("3", "09:03", "b", "outcome", outcome_status="success"),
    )
    rows = story.ask("contradicting-records")
    assert of(rows, "agent", "conflicts", "stages", "first_seq", "last_seq") == [
        ["clerk", ["tool.arguments"], ["action.intent", "action.outcome"], 0, 1]
    ]
    assert story.ask("contradicting-records", since="2026-11-21T09:01:00Z") == []


def test_a_number_that_comes_behind_a_larger_one_is_late_by_how_much_it_was_overtaken():  # threat 12
    story = Story(
        *[note(f"a{n}", f"09:0{n}", "10:00", "a", n) for n in (1, 2, 7, 3, 4, 5, 6, 8)],
        *[note(f"b{n}", "09:30", "10:00", "b", n) for n in (2, 1, 3)],
        {**note("c", "09:30", "10:00", "b", 1), "by": "token:other"},
        *[note(f"again{n}-{count}", "09:30", "10:00", "restarted", n) for count in (1, 2) for n in (1, 2, 3)],
    )
    rows = story.ask("gaps-in-a-source")
    columns = "kind", "source_id", "first_number", "last_number", "count", "after", "before", "seq"
    overtaken = [["late", "a", n, n, 7 - n, at("09:07"), at(f"09:0{n}"), n] for n in (3, 4, 5, 6)]
    assert of(rows[:4], *columns) == overtaken
    assert of(rows[4:5], *columns) == [["late", "b", 1, 1, 1, at("09:30"), at("09:30"), 9]]
    assert of(rows[5:], "kind", "source_id", "first_number", "count") == [
        ["repeated", "restarted", n, 2] for n in (1, 2, 3)
    ]
    assert story.ask("gaps-in-a-source", source_id="unheard-of") == []
