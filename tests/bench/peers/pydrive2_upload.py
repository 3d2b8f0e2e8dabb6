"""Upload files into a folder, as PyDrive2's README shows: `pydrive2_upload.py SETTINGS FOLDER FILE...`."""

import sys
from pathlib import Path

from pydrive2.auth import GoogleAuth
from pydrive2.drive import GoogleDrive

settings, folder, *files = sys.argv[1:]

gauth = GoogleAuth(settings_file=settings)
gauth.CommandLineAuth()
drive = GoogleDrive(gauth)

parent = "root"
for name in folder.split("/"):
    query = f"title = '{name}' and '{parent}' in parents and trashed = false"
    found = drive.ListFile({"q": query}).GetList()
    if found:
        parent = found[0]["id"]
    else:
        made = drive.CreateFile(
            {"title": name, "mimeType": "application/vnd.google-apps.folder", "parents": [{"id": parent}]}
        )
        made.Upload()
        parent = made["id"]

for path in files:
    file = drive.CreateFile({"title": Path(path).name, "parents": [{"id": parent}]})
    file.SetContentFile(path)
    file.Upload()
