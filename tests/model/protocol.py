"""The protocol as a model: what is durable, the steps of an invocation, and all that may happen at each of them.

    claim      the receipt says: this content will stand under this id          (durable, then)
    create     Drive is asked for a file under that id                          (answered, lost, never arrived, late)
    log        an entry says that the content was uploaded                      (durable, then)
    done       the receipt says so too

An invocation may die before and after each step. A later one goes on from what is durable: the claim, the log, and
what Drive shows under the claim's id.
"""

from dataclasses import dataclass, field

STEPS = ("claim", "create", "log", "done")

ANSWERS = ("given", "lost", "never")
"""What becomes of a create: done and answered; done, and the answer is lost; nothing done, and no answer."""


class Killed(Exception):
    """The invocation is dead."""


@dataclass(frozen=True, slots=True)
class Death:
    """SIGKILL `before` or `after` a step."""

    step: str
    when: str


@dataclass(slots=True)
class World:
    """What outlives an invocation."""

    files: list[int] = field(default_factory=list)
    """Ids under which the content stands on Drive."""
    late: list[int] = field(default_factory=list)
    """Ids of creates of dead invocations that are still on their way."""
    claim: int | None = None
    done: int | None = None
    logged: list[int] = field(default_factory=list)
    ids: int = 0
    """Ids that Drive has reserved so far."""

    def arrive(self) -> None:
        """A late create reaches Drive, which answers 409 to an id that is in use."""
        self._create(self.late.pop(0))

    def _create(self, file_id: int) -> None:
        if file_id not in self.files:
            self.files.append(file_id)

    def invoke(self, death: Death | None = None, answer: str = "given", *, dies_waiting: bool = False) -> str:
        """One invocation: its status, or how it died. `answer` is what becomes of its first create."""
        try:
            return self._invoked(death, answer, dies_waiting=dies_waiting)
        except Killed:
            return "killed"

    def _invoked(self, death: Death | None, answer: str, *, dies_waiting: bool) -> str:
        if self.done is not None:
            return self._unchanged(death)
        was_claimed = self.claim is not None
        self._at("claim", "before", death)
        if self.claim is None:
            self.ids += 1
            self.claim = self.ids
        self._at("claim", "after", death)
        was_found = was_claimed and self.claim in self.files
        while self.claim not in self.files:
            self._at("create", "before", death)
            if dies_waiting:
                self.late.append(self.claim)
                raise Killed
            if answer != "never":
                self._create(self.claim)
            self._at("create", "after", death)
            answer = "given"
        already = was_found and self.claim in self.logged
        if not already:
            self._at("log", "before", death)
            self.logged.append(self.claim)
            self._at("log", "after", death)
        self._at("done", "before", death)
        self.done, self.claim = self.claim, None
        self._at("done", "after", death)
        return self._unchanged(death) if already else "uploaded"

    def _unchanged(self, death: Death | None) -> str:
        """An entry says that nothing was to be done: it counts for nothing, but an invocation may die there."""
        self._at("log", "before", death)
        self._at("log", "after", death)
        return "unchanged"

    def _at(self, step: str, when: str, death: Death | None) -> None:
        if death == Death(step, when):
            raise Killed
