"""Google Drive on your own machine: an emulator that Drive's real clients work against unchanged.

>>> with DriveEmulator() as drive:
...     drive.write_token("drive_token.json")
...     drive.faults.add({"on": "files.create", "nth": 3, "do": "lose_answer"})
"""

from .emulator import DriveEmulator
from .server import ServerOptions
from .storage.request_log import RequestRecord

__all__ = ["DriveEmulator", "RequestRecord", "ServerOptions"]
