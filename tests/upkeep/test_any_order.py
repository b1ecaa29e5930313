"""Whatever is erased, retired, held, sealed, compacted and restarted in whatever order: what is read is what a model says, and it verifies."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.audit.fsck import verify_folder
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import place_hold, release_hold, retire
from ledger.upkeep.compact import compact, is_compact
from tests.log.conftest import ORIGIN, post
from tests.upkeep.holding import ANYBODY, action, found, holds, text, user

CONTENTS = ("request.text", "tool.arguments")
places = st.integers(0, 60)


class Upkeep(RuleBasedStateMachine):
    """The model: which action is at which seq, what of it is gone, what is held."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.data = Path(self.folder.name) / "data"
        Log.create(self.data, ORIGIN)
        self.log = Log.open(self.data)
        self.number: dict[int, int] = {}  # seq → the action that is there
        self.own: set[int] = {0}
        self.retired: set[int] = set()
        self.gone: set[tuple[int, str]] = set()
        self.forgotten: dict[int, set[int]] = {}  # person → entries that were there when it was erased
        self.holds: dict[str, set[int]] = {}
        self.receipts: dict[int, bytes] = {}
        self.next = 1
        self.post(5)

    def size(self) -> int:
        return self.log.head().size

    def held(self) -> set[int]:
        return set().union(*self.holds.values())

    def sealed(self) -> int:
        segments = self.log.segments()
        return segments[-1].end if segments else 0

    @rule(count=st.integers(1, 8))
    def post(self, count: int) -> None:
        for answer in post(self.log, *(action(self.next + n) for n in range(count))):
            self.number[answer.seq] = self.next
            self.next += 1
        self.receipts[self.size() - 1] = self.log.receipt(self.size() - 1)

    def say(self, code: Code | None, call, *given: object, **named: object) -> None:
        """Do it; it must be refused with `code`, or not at all. What it wrote is the log's own."""
        before = self.size()
        try:
            call(self.log, *given, **named)
        except LedgerError as error:
            assert error.code == code, error.detail  # noqa: PT017 - which of the two, the model says
            assert self.size() == before
        else:
            assert code is None
            self.own |= set(range(before, self.size()))

    @rule(seq=places, member=st.sampled_from(CONTENTS))
    def erase(self, seq: int, member: str) -> None:
        if seq not in self.number:
            return
        gone = (seq, member) in self.gone
        code = Code.RETIRED if seq in self.retired else Code.HELD if seq in self.held() and not gone else None
        self.say(code, Log.erase, [(seq, member)], **ANYBODY)
        if code is None:
            self.gone.add((seq, member))

    @rule(seq=places)
    def erase_person(self, seq: int) -> None:
        if seq not in self.number or seq in self.retired:
            return
        person = self.number[seq] % 3
        # Named again, a person has another salt: the hold looks at entries with this very commitment.
        earlier = self.forgotten.get(person, set())
        if seq in earlier:
            return
        same = {
            s
            for s, n in self.number.items()
            if n % 3 == person and s not in earlier and s not in self.retired
        }
        code = Code.HELD if same & self.held() else None
        self.say(code, Log.erase, [(seq, "request.user")], **ANYBODY)
        if code is None:
            named = {s for s, n in self.number.items() if n % 3 == person}
            self.forgotten[person] = named

    @rule(low=places, count=st.integers(1, 12), removes=st.sampled_from(Removes))
    def retire(self, low: int, count: int, removes: Removes) -> None:
        about = {
            s
            for s in range(low, low + count)
            if s < self.sealed() and s not in self.own and s not in self.retired
        }
        if not about:
            return
        code = Code.HELD if about & self.held() else None
        self.say(code, retire, "policy", removes, Ranges((s, s + 1) for s in about))
        if code is None and removes is Removes.ENTRIES:
            self.retired |= about
        elif code is None:
            self.gone |= {(s, member) for s in about for member in CONTENTS}

    @rule(name=st.sampled_from("abc"), low=places, count=st.integers(1, 5))
    def hold(self, name: str, low: int, count: int) -> None:
        code = Code.HOLD_EXISTS if name in self.holds else None
        self.say(code, place_hold, name, Ranges([(low, low + count)]), reason="case", by="token:admin")
        if code is None:
            self.holds[name] = set(range(low, low + count))

    @rule(name=st.sampled_from("abc"))
    def release(self, name: str) -> None:
        self.say(
            None if name in self.holds else Code.NOT_FOUND,
            release_hold,
            name,
            reason="over",
            by="token:admin",
        )
        self.holds.pop(name, None)

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @rule()
    def compact(self) -> None:
        compact(self.log)
        assert is_compact(self.log)
        gone = [
            text(self.number[s]) for s in self.number if s in self.retired or (s, "request.text") in self.gone
        ]
        assert found(self.data, *gone) == []
        named = {n % 3 for s, n in self.number.items() if s not in self.forgotten.get(n % 3, set())}
        assert found(self.data, *(user(p) for p in self.forgotten if p not in named)) == []

    @rule()
    def restart(self) -> None:
        self.log.close()
        report = verify_folder(self.data, receipts=self.receipts.values())
        assert report.findings == (), report.findings
        self.log = Log.open(self.data)

    @precondition(lambda self: hasattr(self, "log"))
    @invariant()
    def what_is_read_is_what_is_left(self) -> None:
        for seq, number in self.number.items():
            if seq in self.retired:
                try:
                    self.log.stored(seq)
                except LedgerError as error:
                    assert error.code == Code.RETIRED  # noqa: PT017
                else:
                    raise AssertionError(seq)
                continue
            stored = self.log.stored(seq)
            left = [member for member in CONTENTS if (seq, member) not in self.gone]
            assert [content.member for content in stored.contents] == left
            forgotten = seq in self.forgotten.get(number % 3, set())
            assert len(stored.persons) == (0 if forgotten else 1)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            for seq, receipt in self.receipts.items():
                assert holds(self.log, seq, receipt)
                assert holds(self.log, seq, self.log.receipt(seq))
            self.log.close()
            assert verify_folder(self.data, receipts=self.receipts.values()).findings == ()
            self.folder.cleanup()


Upkeep.TestCase.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestUpkeep = Upkeep.TestCase
