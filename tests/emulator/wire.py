"""A plain HTTP client for the emulated Drive: no Google library stands between test and wire."""

from __future__ import annotations

import json
from typing import Any

import requests

from local_runner.drive_emulator import DriveEmulator

FOLDER = "application/vnd.google-apps.folder"
GRANULE = 256 * 1024


class Api:
    """Requests with an access token; answers are `requests.Response`s, whatever their status."""

    def __init__(self, drive: DriveEmulator, email: str | None = None) -> None:
        self.drive = drive
        self.session = requests.Session()
        self.token = drive.authorized_user(email)["token"]
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self.drive.url + path, timeout=30, **more)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.call("GET", f"/drive/v3/{path}", params=params)

    def create(self, body: dict[str, Any] | None = None, fields: str = "*", **params: Any) -> requests.Response:
        return self.call("POST", "/drive/v3/files", json=body or {}, params={"fields": fields, **params})

    def made(self, body: dict[str, Any], **params: Any) -> dict[str, Any]:
        """The resource of a file that must be created."""
        answer = self.create(body, **params)
        assert answer.status_code == 200, answer.text
        resource: dict[str, Any] = answer.json()
        return resource

    def folder(self, name: str = "F", **more: Any) -> str:
        """The id of a new folder."""
        return str(self.made({"name": name, "mimeType": FOLDER, **more})["id"])

    def update(self, file_id: str, body: dict[str, Any], **params: Any) -> requests.Response:
        return self.call("PATCH", f"/drive/v3/files/{file_id}", json=body, params={"fields": "*", **params})

    def ids(self, count: int = 1) -> list[str]:
        """Ids from generateIds."""
        answer: list[str] = self.get("files/generateIds", count=count).json()["ids"]
        return answer

    def multipart(self, metadata: dict[str, Any], content: bytes, **params: Any) -> requests.Response:
        body = (
            b"--B\r\nContent-Type: application/json\r\n\r\n"
            + json.dumps(metadata).encode()
            + b"\r\n--B\r\nContent-Type: text/plain\r\n\r\n"
            + content
            + b"\r\n--B--\r\n"
        )
        return self.call(
            "POST",
            "/upload/drive/v3/files",
            params={"uploadType": "multipart", "fields": "*", **params},
            data=body,
            headers={"Content-Type": "multipart/related; boundary=B"},
        )

    def start(self, metadata: dict[str, Any] | None = None, total: int | None = None, **more: Any) -> requests.Response:
        """Start a session."""
        headers = {} if total is None else {"X-Upload-Content-Length": str(total)}
        path, method = "/upload/drive/v3/files", "POST"
        if "file_id" in more:
            path, method = f"{path}/{more.pop('file_id')}", "PATCH"
        params = {"uploadType": "resumable", "fields": "*", **more}
        return self.call(method, path, params=params, json=metadata or {}, headers=headers)

    def session_uri(self, metadata: dict[str, Any] | None = None, total: int | None = None, **more: Any) -> str:
        answer = self.start(metadata, total, **more)
        assert answer.status_code == 200, answer.text
        return answer.headers["Location"]

    def send(
        self, uri: str, content: bytes, content_range: str | None = None, method: str = "PUT"
    ) -> requests.Response:
        headers = {} if content_range is None else {"Content-Range": content_range}
        return requests.request(method, uri, data=content, headers=headers, timeout=30)

    def status(self, uri: str, total: int | str = "*") -> requests.Response:
        return self.send(uri, b"", f"bytes */{total}")

    def reason(self, answer: requests.Response) -> tuple[int, str]:
        """Status and reason of a refusal."""
        return answer.status_code, answer.json()["error"]["errors"][0]["reason"]
