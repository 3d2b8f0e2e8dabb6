"""A create that may be sent again: under a reserved id, and never without a look at what became of it."""

from collections.abc import Callable

from function.core import retry
from function.core.errors import AlreadyExists, DeadlineExceeded, TransientDriveError
from function.core.retry import Deadline
from function.core.types import RemoteFile


def once(
    create: Callable[[], RemoteFile],
    look: Callable[[], RemoteFile | None],
    deadline: Deadline,
    *,
    look_first: bool = False,
) -> RemoteFile | None:
    """What stands under the id in the end: made now, or before by a request whose answer was lost.

    The caller compares it with what it wanted: a 409 says that the id exists, not whose content it holds. None when
    the id is used up and nothing stands under it. Raises what `create` and `look` raise; transient errors only when
    the deadline leaves no time to try again.
    """
    found = look() if look_first else None
    attempt = 0
    failure: TransientDriveError | None = None
    while found is None:
        try:
            return create()
        except AlreadyExists:
            return look()
        except DeadlineExceeded as late:
            raise failure or late from None
        except TransientDriveError as error:
            failure = error
            retry.pause(attempt, error, deadline)
        attempt += 1
        found = look()
    return found
