"""Moving a file that others may be moving at the same moment."""

from function.core.errors import DriveError, TransientDriveError
from function.core.types import RemoteFile
from function.drive.port import Drive

TRIES_MAX = 4


def move(file: RemoteFile, folder: str, drive: Drive) -> RemoteFile:
    """The file in that folder; raises what `drive` raises.

    A file has one parent. Where another took it from the parent we knew, Drive refuses ours as a second one: look
    where it is, and move it from there.
    """
    for _ in range(TRIES_MAX):
        try:
            return drive.update(file, move_to=folder)
        except TransientDriveError:
            raise
        except DriveError:
            now = drive.get(file.id)
            if now is None or (now.parents == file.parents and folder not in now.parents):
                raise
            if folder in now.parents:
                return now
            file = now
    raise TransientDriveError(f"{file.name} is being moved about on Drive; call again later.")
