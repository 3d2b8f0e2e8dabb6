"""The owner of the Drive, who puts files there, renames and trashes them as people do: through Google's own API."""

import json
from dataclasses import dataclass
from typing import Any

import requests

from local_runner.drive_emulator import DriveEmulator

FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
DOCUMENT = "application/vnd.google-apps.document"


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody else than the job, with the same account."""

    drive: DriveEmulator

    def make(self, path: str, content: bytes | None = b"theirs", mime_type: str = "text/plain", **metadata: Any) -> str:
        """A file, in folders that are found or made; its id."""
        *folders, name = path.split("/")
        parent = "root"
        for folder in folders:
            parent = self._folder(folder, parent)
        body = {"name": name, "parents": [parent], "mimeType": mime_type} | metadata
        made = self._call("POST", "/drive/v3/files", json=body)
        if content is not None and not mime_type.startswith("application/vnd.google-apps"):
            self._call(
                "PATCH",
                f"/upload/drive/v3/files/{made['id']}",
                params={"uploadType": "media"},
                data=content,
                headers={"content-type": mime_type},
            )
        return str(made["id"])

    def change(self, file_id: str, **changes: Any) -> None:
        """New metadata: a name, the bin."""
        self._call("PATCH", f"/drive/v3/files/{file_id}", json=changes)

    def delete(self, file_id: str) -> None:
        """For ever, without the bin."""
        self._call("DELETE", f"/drive/v3/files/{file_id}")

    def copy(self, file_id: str, name: str) -> str:
        """A copy in the same folder, with all that a copy takes along; its id."""
        return str(self._call("POST", f"/drive/v3/files/{file_id}/copy", json={"name": name})["id"])

    def folder(self, name: str, parent: str) -> str:
        """A folder, found or made; its id."""
        return self._folder(name, parent)

    def share(self, file_id: str, email: str) -> None:
        """Let someone write there."""
        permission = {"role": "writer", "type": "user", "emailAddress": email}
        self._call("POST", f"/drive/v3/files/{file_id}/permissions", json=permission)

    def move(self, file_id: str, source: str, target: str) -> None:
        """Take it from one folder into another."""
        parents = {"removeParents": source, "addParents": target}
        self._call("PATCH", f"/drive/v3/files/{file_id}", params=parents, json={})

    def shared_drive(self, name: str) -> str:
        """A new shared drive; its id."""
        return str(self._call("POST", "/drive/v3/drives", params={"requestId": name}, json={"name": name})["id"])

    def _folder(self, name: str, parent: str) -> str:
        query = f"name = '{name}' and '{parent}' in parents and mimeType = '{FOLDER}' and trashed = false"
        found = self._call("GET", "/drive/v3/files", params={"q": query})["files"]
        if found:
            return str(found[0]["id"])
        made = self._call("POST", "/drive/v3/files", json={"name": name, "parents": [parent], "mimeType": FOLDER})
        return str(made["id"])

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.drive.authorized_user()['token']}"} | options.pop("headers", {})
        options["params"] = {"supportsAllDrives": "true"} | options.get("params", {})
        if "drives" in path.split("/"):
            del options["params"]["supportsAllDrives"]
        answer = requests.request(method, self.drive.url + path, headers=headers, timeout=30, **options)
        assert answer.ok, answer.text
        document = json.loads(answer.text or "{}")
        assert isinstance(document, dict)
        return document
