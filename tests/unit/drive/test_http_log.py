"""What a request to Drive is called in the log."""

import pytest

from function.drive.http import purpose

V3 = "https://www.googleapis.com/drive/v3"
UPLOAD = "https://www.googleapis.com/upload/drive/v3"


@pytest.mark.parametrize(
    ("method", "uri", "name"),
    [
        ("GET", f"{V3}/files?q=name+%3D+'secret'", "files.list"),
        ("GET", f"{V3}/files/abc?fields=id", "files.get"),
        ("GET", f"{V3}/files/generateIds?count=10", "files.generateIds"),
        ("GET", f"{V3}/about?fields=user", "about.get"),
        ("POST", f"{V3}/files", "files.create"),
        ("PATCH", f"{V3}/files/abc", "files.update"),
        ("POST", f"{UPLOAD}/files?uploadType=multipart", "files.create"),
        ("POST", f"{UPLOAD}/files?uploadType=resumable", "upload.start"),
        ("PUT", f"{UPLOAD}/files?uploadType=resumable&upload_id=SECRET", "upload.send"),
        ("POST", "https://oauth2.googleapis.com/token", "token"),
    ],
)
def test_a_request_is_named_as_drives_api_names_it(method: str, uri: str, name: str) -> None:
    """By its method and path alone: nothing of the query, which may hold a session's secret."""
    assert purpose(method, uri) == name
