"""Upload files into a folder, as Google's guide for Python shows: `api_client_upload.py TOKEN FOLDER FILE...`."""

import sys
from pathlib import Path

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.http import MediaFileUpload

RESUMABLE_FROM_BYTES = 5 * 1024 * 1024

token, folder, *files = sys.argv[1:]

credentials = Credentials.from_authorized_user_file(token)  # type: ignore[no-untyped-call]
service = build("drive", "v3", credentials=credentials)

parent = "root"
for name in folder.split("/"):
    query = f"name = '{name}' and '{parent}' in parents and trashed = false"
    found = service.files().list(q=query, fields="files(id)").execute()["files"]
    if found:
        parent = found[0]["id"]
    else:
        body = {"name": name, "mimeType": "application/vnd.google-apps.folder", "parents": [parent]}
        parent = service.files().create(body=body, fields="id").execute()["id"]

for path in files:
    media = MediaFileUpload(
        path, mimetype="application/octet-stream", resumable=Path(path).stat().st_size > RESUMABLE_FROM_BYTES
    )
    body = {"name": Path(path).name, "parents": [parent]}
    service.files().create(body=body, media_body=media, fields="id").execute()
