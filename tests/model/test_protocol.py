"""The model keeps the promise whatever happens, and the real job does what the model says, step by step."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.crash import promise
from tests.crash import world as real
from tests.crash.scenarios import Wanted
from tests.crash.strike import Strike
from tests.model.protocol import ANSWERS, STEPS, Death, World

DEATHS = st.builds(Death, st.sampled_from(STEPS), st.sampled_from(["before", "after"]))

WANTED = Wanted("Meta/zones.txt", b"zones")

EARLIER = Wanted("Meta/earlier.txt", b"earlier")

PAYLOAD = {"path": f"Data/{WANTED.source}"}

EVENTS = {
    "claim": (0, "link .drive_upload"),
    "create": (0, "request POST /upload/drive/v3/files"),
    "log": (0, "pwrite upload_log.json"),
    "done": (1, "link .drive_upload"),
}
"""Step -> the event of a real run that makes it so: which one, of those whose label begins so."""

FAULTS = {"lost": "lose_answer", "never": "reset_before"}


class Model(RuleBasedStateMachine):
    """Any schedule of invocations, deaths, lost answers and late arrivals."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(death=st.none() | DEATHS, answer=st.sampled_from(ANSWERS))
    def invoke(self, death: Death | None, answer: str) -> None:
        """An invocation, dead or alive."""
        self.world.invoke(death, answer)

    @rule()
    def die_waiting(self) -> None:
        """An invocation that dies while its create is on its way."""
        self.world.invoke(dies_waiting=True)

    @precondition(lambda self: bool(self.world.late))
    @rule()
    def arrive(self) -> None:
        """The create of a dead invocation reaches Drive."""
        self.world.arrive()

    @invariant()
    def nothing_twice(self) -> None:
        """One file at most, logged once at most, and nothing is called done that does not stand on Drive."""
        assert len(self.world.files) <= 1
        assert len(self.world.logged) <= 1
        assert self.world.done is None or self.world.files == [self.world.done]

    def teardown(self) -> None:
        """Two plain invocations, and all is well; also when what is late arrives after them."""
        self.world.invoke()
        self.world.invoke()
        while self.world.late:
            self.world.arrive()
        assert self.world.files == self.world.logged == [self.world.done]


class Real(RuleBasedStateMachine):
    """The same schedules for the model and for the real job, which must agree after each step."""

    station: real.Station

    def __init__(self) -> None:
        super().__init__()
        self.model = World()
        self._opened = self.station.world()
        self.world = self._opened.__enter__()
        self.world.home.put(EARLIER.source, EARLIER.content)
        self.world.run({"path": f"Data/{EARLIER.source}"})
        self.world.home.put(WANTED.source, WANTED.content)

    @rule(death=st.none() | DEATHS, answer=st.sampled_from(ANSWERS))
    def invoke(self, death: Death | None, answer: str) -> None:
        """The same invocation in the model and in a process of its own."""
        if death and death.step == "claim" and self._is_half():
            death = None  # what is done for the model is claimed once more before it shows to be done
        expected = self.model.invoke(death, answer)
        self.world.drive.faults.clear()
        if answer in FAULTS:
            self.world.drive.faults.add({"on": "files.create", "do": FAULTS[answer]})
        ended = self.world.run(PAYLOAD, strike=_strike(death))
        assert (ended.statuses or ["killed"]) == [expected]
        self.world.settle()

    @invariant()
    def they_agree(self) -> None:
        """Files on Drive, entries in the log and the receipt are what the model says."""
        files = [each for each in self.world.files() if each["path"] == WANTED.path]
        receipts = [each for _, each in self.world.home.receipts() if each["destination"] == WANTED.path]
        assert len(files) == len(self.model.files)
        assert promise.times_logged(self.world.home, WANTED) == len(self.model.logged)
        assert any(each.get("done") for each in receipts) >= (self.model.done is not None and not self._is_half())

    def _is_half(self) -> bool:
        """Whether a receipt is still to be put in its place by whoever comes next: its writer died behind the link."""
        return any(self.world.home.state.glob("*/receipts/*/*/*.json.[0-9]"))

    def teardown(self) -> None:
        """Two plain invocations, and the promise is kept."""
        self.world.drive.faults.clear()
        for _ in range(2):
            self.world.run(PAYLOAD)
        found = promise.broken(self.world, [WANTED, EARLIER])
        self._opened.__exit__(None, None, None)
        assert found == []


def _strike(death: Death | None) -> Strike | None:
    if death is None:
        return None
    event, label = EVENTS[death.step]
    return Strike(event, death.when, label)


@pytest.fixture(scope="module")
def station() -> Iterator[real.Station]:
    """Where the real schedules run."""
    with real.Station() as made:
        yield made


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=300, stateful_step_count=12, deadline=None, derandomize=True)


def test_the_real_job_does_what_the_model_says(station: real.Station) -> None:
    """Driven through the model's schedules, by kills and lost answers at each step, it ends where that does."""
    Real.station = station
    Real.TestCase.settings = settings(
        max_examples=25,
        stateful_step_count=5,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )

    Real.TestCase("runTest").runTest()
