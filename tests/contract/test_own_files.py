"""The job's own files are never a source: by whatever name, wherever the settings put them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.home import PROJECT, Home, Post
from tests.support.privileges import permissions_count

OWN = ["drive_token.json", "paths.json", "upload_log.json", "drive_upload.lock", "receipt", "ids"]

SET_ASIDE = [
    "drive_token.json.bak",
    "paths.json.12.new",
    "upload_log.json.damaged-1",
    "upload_log-20260101T000000Z.json",
    "drive_upload.lock.0123",
    "drive_token.json~",
    "#drive_token.json#",
    ".drive_token.json.swp",
    "client_secret.json",
    "client_secrets.json",
    "client_secret_12-ab.apps.googleusercontent.com.json",
]


def forbidden(home: Home, post: Post, path: str) -> None:
    """The path is refused as one of the job's own files, and nothing of it reaches Drive."""
    before = len(home.drive.requests)

    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (403, "source_forbidden"), answer.entry["message"]
    assert len(home.drive.requests) == before


def own_file(home: Home, which: str) -> Path:
    """One of the files that a first upload leaves."""
    if which in ("receipt", "ids"):
        found = sorted(each for each in (home.folder / ".drive_upload").rglob("*") if each.is_file())
        return next(each for each in found if ("receipts" if which == "receipt" else "ids") in each.parts)
    (home.folder / which).touch()
    return home.folder / which


@pytest.mark.parametrize("which", OWN)
@pytest.mark.parametrize("data_root", [".", "/", ".drive_upload/.."])
def test_own_files_in_the_data_root(home: Home, post: Post, which: str, data_root: str) -> None:
    """A data_root that holds the home: what is not the job's own goes up, the rest doesn't."""
    home.settings(data_root=data_root)
    assert post(home, {"path": home.put()}).code == 200

    forbidden(home, post, str(own_file(home, which)))


@pytest.mark.parametrize("which", OWN)
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_own_files_by_another_name(home: Home, post: Post, which: str, link: Callable[[Path, Path], None]) -> None:
    """A hard link or a symbolic link in the data root leads to the same file."""
    post(home, {"path": home.put()})
    if link is os.symlink:
        home.settings(data_root=".")

    link(own_file(home, which), home.folder / "Data/harmless.txt")

    forbidden(home, post, "Data/harmless.txt")


@pytest.mark.parametrize("name", SET_ASIDE)
def test_what_belongs_to_own_files(home: Home, post: Post, name: str) -> None:
    """The client's secret, temporary files, editors' and other backups, older states: they hold the same secrets."""
    home.settings(data_root=".")
    home.write(name, "canary")

    forbidden(home, post, name)


def test_state_and_token_below_the_data_root(home: Home, post: Post) -> None:
    """Settings that put them there are no way out either; another file in the same folder is one."""
    (home.folder / "Data/secrets").mkdir()
    shutil.move(home.folder / "drive_token.json", home.folder / "Data/secrets/token.json")
    home.settings(state_root="Data/state", accounts={"default": {"token": "Data/secrets/token.json"}})
    assert post(home, {"path": home.put("Data/secrets/note.txt")}).code == 200

    for path in (home.folder / "Data").rglob("*"):
        if path.is_file() and path.name != "note.txt":
            forbidden(home, post, str(path))


def test_the_credentials_of_the_environment(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """What GOOGLE_APPLICATION_CREDENTIALS names is a token, too."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home.write("Data/key.json", "canary")))

    forbidden(home, post, "Data/key.json")


@pytest.mark.parametrize("is_linked", [False, True], ids=["in the data root", "by a hard link"])
def test_the_credentials_of_gcloud(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, *, is_linked: bool) -> None:
    """What lies where CLOUDSDK_CONFIG says, whether an account uses it or not."""
    place = home.folder / ("gcloud" if is_linked else "Data/gcloud")
    place.mkdir()
    (place / "application_default_credentials.json").write_text("canary")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(place))
    if is_linked:
        os.link(place / "application_default_credentials.json", home.folder / "Data/link.json")

    forbidden(home, post, "Data/link.json" if is_linked else "Data/gcloud/application_default_credentials.json")


@pytest.mark.parametrize(
    "source",
    [
        {"file": "SUBJECT"},
        {"executable": {"command": "get", "output_file": "SUBJECT"}},
        {"executable": {"command": "get --key SUBJECT"}},
        {"certificate": {"certificate_config_location": "HOME/certificates.json"}},
    ],
    ids=["file", "program's output", "program's key", "a file that names it"],
)
def test_what_a_workloads_credentials_lead_to(home: Home, post: Post, source: dict[str, object]) -> None:
    """The token of another provider, which an external account's file names: it is exchanged for Google's."""
    subject = home.write("Data/Meta/subject", "canary")
    workload = {"type": "external_account", "credential_source": source}
    home.write("certificates.json", json.dumps({"cert_configs": {"workload": {"key_path": str(subject)}}}))
    text = json.dumps(workload).replace("SUBJECT", str(subject)).replace("HOME", str(home.folder))
    home.write("workload.json", text)
    home.settings(accounts={"workload": {"token": "workload.json"}})

    forbidden(home, post, "Data/Meta/subject")


@pytest.mark.parametrize("named", ['"a\\u0000b"', '"\\ud800"', '"' + 5000 * "a" + '"', "[]"])
def test_credentials_that_lead_to_what_can_not_be_stop_nobody(home: Home, post: Post, named: str) -> None:
    """Another account's broken file is that account's own matter."""
    home.write("bad.json", f'{{"type": "external_account", "credential_source": {{"file": {named}}}}}')
    home.settings(accounts={"bad": {"token": "bad.json"}, "good": {"token": "drive_token.json"}})

    answer = post(home, {"path": home.put(), "account": "good"})

    assert answer.body["status"] == "uploaded", answer.entry["message"]


@pytest.mark.parametrize("written", ["paths.json", "elsewhere.json"])
def test_tokens_that_a_variable_hides_are_no_sources(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """The settings in the home, and those that are read, name tokens that DRIVE_UPLOAD_ACCOUNTS leaves unused."""
    home.write("Data/secrets/me.json", "canary")
    home.settings(accounts={"me": {"token": "Data/secrets/me.json"}})
    if written != "paths.json":
        home.environ["DRIVE_UPLOAD_PATHS"] = str(home.folder / written)
        home.write(written, '{"drive_root": "MemoryVDB"}')
        home.environ["DRIVE_UPLOAD_HOME"] = str(home.folder)
    home.environ["DRIVE_UPLOAD_ACCOUNTS"] = '{"default": {"token": "other.json"}}'
    home.drive.write_token(home.folder / "other.json")

    forbidden(home, post, "Data/secrets/me.json")


def test_a_working_folder_that_was_removed_stops_nobody(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's own, say, whose files all lie elsewhere."""
    gone = home.folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert post(home, {"path": home.put()}).body["status"] == "uploaded"


def test_credentials_that_are_out_of_reach_stop_nobody(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME may be another user's: a file that has one name only is not the one that lies there."""
    closed = home.folder / "closed"
    closed.mkdir(0)
    monkeypatch.setenv("HOME", str(closed))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(closed / "key.json"))

    with permissions_count():
        answer = post(home, {"path": home.put()})

    closed.chmod(0o700)
    assert answer.body["status"] == "uploaded", answer.entry["message"]


BIND = """
set -e
mkdir -p Data/bound Data/below && touch Data/token.txt Data/receipt.txt
mount --bind .drive_upload Data/bound
mount --bind .drive_upload/*/drives/*/receipts Data/below
mount --bind drive_token.json Data/token.txt
mount --bind "$(find .drive_upload -path '*receipts*.json' | head -1)" Data/receipt.txt
cd "$PROJECT"
for path in "$HOME_FOLDER"/Data/token.txt "$HOME_FOLDER"/Data/receipt.txt \
    $(find "$HOME_FOLDER"/Data/bound "$HOME_FOLDER"/Data/below -type f) ; do
    "$PYTHON" -m function upload "$path" | grep -o '"reason": .*'
done
"""


def test_own_files_that_are_mounted_again(home: Home, post: Post) -> None:
    """A bind mount of the state, of a part of it or of one file is what it shows."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("mounting needs user namespaces")
    post(home, {"path": home.put()})
    environ = os.environ | home.environ
    environ |= {"PROJECT": str(PROJECT), "PYTHON": sys.executable, "HOME_FOLDER": str(home.folder)}

    run = subprocess.run(
        ["unshare", "-rm", "bash", "-c", BIND],
        cwd=home.folder, env=environ, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip

    reasons = run.stdout.split("\n")[:-1]
    assert len(reasons) >= 5, run.stderr
    assert set(reasons) == {'"reason": "source_forbidden",'}
    assert list(home.stored()) == ["MemoryVDB/Meta/note.txt"]


def test_a_hard_link_that_is_not_the_jobs_own_goes_up(home: Home, post: Post) -> None:
    """Backups made of hard links are ordinary files."""
    os.link(home.folder / home.put(), home.folder / "Data/Meta/second.txt")

    assert post(home, {"path": "Data/Meta/second.txt"}).body["status"] == "uploaded"
