"""Sessions: how long one lasts, how many there are, and what a cookie has to be."""

import pytest

from ledger.console.sessions import (
    IDLE_S,
    LONGEST_S,
    SESSIONS,
    SESSIONS_OF_ONE,
    Sessions,
    cookie_name,
    format_cookie,
    parse_cookie,
)

NAME = cookie_name("ledger.example/a", secure=False)


class Clock:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return Sessions(clock)


def test_a_session_stands_for_its_token_until_it_is_ended(sessions):
    made = sessions.open("ann", "secret")
    assert sessions.token(made, touch=True) == "secret"
    sessions.end(made)
    sessions.end(made)
    assert sessions.token(made, touch=True) is None
    assert len(sessions) == 0


def test_a_session_that_is_not_used_ends_and_one_that_is_used_goes_on(sessions, clock):
    used, idle = sessions.open("ann", "a"), sessions.open("ann", "b")
    clock.now_s += IDLE_S - 1
    assert sessions.token(used, touch=True) == "a"
    clock.now_s += 1
    assert sessions.token(idle, touch=True) is None
    assert sessions.token(used, touch=True) == "a"


def test_what_a_page_asks_by_itself_keeps_no_session_alive(sessions, clock):
    made = sessions.open("ann", "a")
    clock.now_s += IDLE_S - 1
    assert sessions.token(made, touch=False) == "a"
    clock.now_s += 1
    assert sessions.token(made, touch=False) is None


def test_no_session_lasts_longer_than_half_a_day_however_much_it_is_used(sessions, clock):
    made = sessions.open("ann", "a")
    for _ in range(int(LONGEST_S // IDLE_S) * 2 - 1):
        clock.now_s += IDLE_S / 2
        assert sessions.token(made, touch=True) == "a"
    clock.now_s += IDLE_S / 2
    assert sessions.token(made, touch=True) is None


def test_one_credential_has_so_many_sessions_and_pushes_out_only_its_own(sessions):
    others = sessions.open("bob", "b")
    own = [sessions.open("ann", "a") for _ in range(SESSIONS_OF_ONE)]
    sessions.token(own[0], touch=True)  # the second is now the one longest unused
    newest = sessions.open("ann", "a")
    found = [sessions.token(each, touch=False) for each in (others, own[0], own[1], own[2], newest)]
    assert found == ["b", "a", None, "a", "a"]


def test_there_are_so_many_sessions_in_all_and_the_one_longest_unused_makes_room(sessions):
    made = [sessions.open(f"user-{number}", "t") for number in range(SESSIONS + 1)]
    assert len(sessions) == SESSIONS
    assert sessions.token(made[0], touch=False) is None
    assert sessions.token(made[1], touch=False) == "t"


def test_ended_sessions_make_room_first(sessions, clock):
    sessions.open("ann", "a")
    clock.now_s += IDLE_S
    sessions.open("bob", "b")
    assert len(sessions) == 1


def test_no_two_ids_are_alike_and_none_is_chosen_by_whoever_signs_in(sessions):
    made = {sessions.open("ann", "a") for _ in range(10)}
    assert len(made) == 10
    assert all(parse_cookie(f"{NAME}={each}", NAME) == each for each in made)
    assert sessions.token("x" * 43, touch=True) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        "other=x",
        f"{NAME}=",
        f"{NAME}=short",
        f"{NAME}={'x' * 44}",
        f"{NAME}={'é' * 43}",
        f"{NAME}={'x' * 42}\n",
        f"{NAME}={'x' * 43}; {NAME}={'x' * 43}",
        f"{NAME.upper()}={'x' * 43}",
        f"x{NAME}={'x' * 43}",
    ],
)
def test_what_is_no_single_session_id_is_none(given):
    assert parse_cookie(given, NAME) is None


def test_a_session_is_found_among_other_cookies():
    assert parse_cookie(f"a=1;{NAME}={'x' * 43} ; b=2", NAME) == "x" * 43


def test_a_cookie_is_for_this_host_alone_and_no_script_reads_it():
    secure = cookie_name("ledger.example/a", secure=True)
    assert secure.startswith("__Host-")
    assert secure != cookie_name("ledger.example/b", secure=True)
    assert format_cookie(secure, "s", secure=True).split("; ")[1:] == [
        "Path=/",
        "HttpOnly",
        "SameSite=Strict",
        "Secure",
    ]
    assert "Secure" not in format_cookie(NAME, "s", secure=False)
    assert format_cookie(NAME, "", secure=False).endswith("; Max-Age=0")


def test_what_is_printed_of_a_session_has_no_token_in_it(sessions):
    sessions.open("ann", "alt_secret")
    assert "alt_secret" not in repr(sessions._sessions)
