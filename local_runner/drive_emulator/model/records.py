"""The vocabulary of the embedded Drive: plain values, no HTTP, no files, no locks.

Glossary
    account       a person or service account; has one My Drive, whose root folder is `root_id`
    app           an OAuth client id: owns `appProperties`, and with scope drive.file sees only what it made
    viewer        who asks: an account, through an app, with scopes
    content       bytes on disk, in a file of their own called a blob
    trashed       in the bin itself or through an ancestor; `explicitly_trashed` only itself
    session       a resumable upload on its way
    change        one entry of the change feed

Values are frozen: the store replaces a record, so a reader never sees one half changed. Times are integers,
milliseconds since 1970 UTC, as fine as Drive keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
DRIVE_SDK = "application/vnd.google-apps.drive-sdk"
GOOGLE_TYPE_PREFIX = "application/vnd.google-apps."
APP_DATA = "appDataFolder"
"""The hidden folder of an app, by its alias; also the name of the space that all such folders make."""

EMAIL = r"^[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]{1,255}$"
"""What an e-mail address looks like, as far as it has to be told from something else."""

JsonObject = dict[str, Any]


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is kept: replaced by `msgspec.structs.replace`, never altered; what has its default isn't written down.

    Records hold no other record that could hold them, so the collector of cycles need not look at hundreds of
    thousands of them.
    """


class Content(Record, frozen=True):
    """What a file holds: size in bytes, digests in lower-case hex, and the name of the blob with the bytes.

    The SHAs are None where they haven't been computed: `Blobs.complete` knows them. An empty content has no blob.
    """

    size: int
    md5: str
    sha1: str | None
    sha256: str | None
    blob: str = ""


class Permission(Record, frozen=True):
    """One grant on a file or shared drive; `type` is user, group, domain or anyone."""

    id: str
    type: str
    role: str
    email: str = ""
    display_name: str = ""
    domain: str = ""
    allow_file_discovery: bool = False
    expires_ms: int | None = None


class FileRecord(Record, frozen=True):
    """A file, folder or shortcut as Drive knows it.

    `parents` holds at most one id, and none where the viewer's share is the top. `owner` is an e-mail address, empty
    for items of a shared drive (`drive_id`). `app_properties` maps an app to that app's own properties. `apps` are the
    OAuth clients that made or opened the file. `trashed` is the effective flag, kept up to date by the store.
    """

    id: str
    name: str
    mime_type: str
    owner: str
    parents: tuple[str, ...]
    created_ms: int
    modified_ms: int
    version: int = 1
    drive_id: str | None = None
    content: Content | None = None
    head_revision_id: str | None = None
    original_filename: str | None = None
    trashed: bool = False
    explicitly_trashed: bool = False
    trashed_ms: int | None = None
    trashed_by: str | None = None
    starred: bool = False
    description: str | None = None
    properties: Mapping[str, str] = {}
    app_properties: Mapping[str, Mapping[str, str]] = {}
    apps: frozenset[str] = frozenset()
    permissions: tuple[Permission, ...] = ()
    last_modifying_user: str = ""
    viewed_by_me_ms: int | None = None
    shared_with_me_ms: int | None = None
    shortcut_target_id: str | None = None
    shortcut_target_mime_type: str | None = None
    folder_color_rgb: str | None = None
    writers_can_share: bool = True
    copy_requires_writer_permission: bool = False
    space: str = "drive"
    arrived_ms: int = 0
    """When this server made the record; listings that lag hide younger ones. (`created_ms` is settable by clients.)"""

    @property
    def is_folder(self) -> bool:
        return self.mime_type == FOLDER

    @property
    def is_shortcut(self) -> bool:
        return self.mime_type == SHORTCUT

    @property
    def is_app_data(self) -> bool:
        """Whether it is, or lies in, the hidden folder of an app."""
        return self.space == APP_DATA


class Revision(Record, frozen=True):
    """One content that a file had or has."""

    id: str
    file_id: str
    content: Content
    mime_type: str
    modified_ms: int
    modified_by: str
    original_filename: str
    keep_forever: bool = False
    published: bool = False


class Reply(Record, frozen=True):
    """An answer to a comment; `action` is resolve, reopen or nothing. What is deleted has lost its content."""

    id: str
    author: str
    content: str
    created_ms: int
    modified_ms: int
    action: str = ""
    deleted: bool = False


class Comment(Record, frozen=True):
    """A remark on a file, with its replies, oldest first. `author` is an e-mail address."""

    id: str
    file_id: str
    author: str
    content: str
    created_ms: int
    modified_ms: int
    """When it or one of its replies last changed."""
    anchor: str | None = None
    quoted: Mapping[str, str] = {}
    """The passage that it is about: `mimeType` and `value`."""
    resolved: bool = False
    deleted: bool = False
    replies: tuple[Reply, ...] = ()


class Account(Record, frozen=True):
    """A user of the emulator. `storage_limit` is in bytes, None = unlimited; a service account owns no storage.

    `public_keys` are those of a service account's key files: key id -> PEM.
    """

    email: str
    display_name: str
    permission_id: str
    root_id: str
    storage_limit: int | None = 15 * 1024**3
    is_service_account: bool = False
    public_keys: Mapping[str, str] = {}


class SharedDrive(Record, frozen=True):
    """A shared drive; the id of its root folder equals its own id. `members` are drive-wide grants.

    `hidden_by` are those, by e-mail address, in whose default view it isn't.
    """

    id: str
    name: str
    created_ms: int
    request_id: str
    hidden_by: frozenset[str] = frozenset()
    members: tuple[Permission, ...] = ()


class AccessToken(Record, frozen=True):
    """What `Authorization: Bearer` names. `expires_ms` None = never (tokens accepted by flag)."""

    token: str
    email: str
    client_id: str
    scopes: frozenset[str]
    expires_ms: int | None


class RefreshToken(Record, frozen=True):
    """A long-lived grant of an account to an app."""

    token: str
    email: str
    client_id: str
    scopes: frozenset[str]
    revoked: bool = False


class Change(Record, frozen=True):
    """One entry of the change feed; a removed file has only its id. `drive_id` names the feed of a shared drive."""

    number: int
    file_id: str
    time_ms: int
    removed: bool
    viewers: frozenset[str]
    drive_id: str | None = None
    space: str = "drive"


class UploadSession(Record, frozen=True):
    """A resumable upload. The bytes kept so far are in the session's own file; its length is the offset.

    `body` is the v3 metadata that came with the start. `file_id` is set for updates, `total` once it is known.
    `result` is the file's id when the upload is complete.
    """

    id: str
    method_id: str
    version: Literal[2, 3]
    email: str
    client_id: str
    scopes: frozenset[str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    content_type: str | None
    file_id: str | None
    total: int | None
    started_ms: int
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `root_id` is what the alias `root` means to them, `app_data_id` what `appDataFolder` does.

    The latter is empty for an app that wasn't granted the scope of its hidden folder.
    """

    email: str
    permission_id: str
    root_id: str
    client_id: str
    scopes: frozenset[str]
    app_data_id: str = ""

    def resolve(self, file_id: str) -> str:
        """An id with its alias replaced."""
        return {"root": self.root_id, APP_DATA: self.app_data_id or APP_DATA}.get(file_id, file_id)

    def is_root(self, record: FileRecord) -> bool:
        """Whether it is the top of My Drive, of an app's hidden folder, or of a shared drive."""
        return record.id in {self.root_id, self.app_data_id, record.drive_id}


class Query(Protocol):
    """A parsed `q`: `query.parse(q, version=3, viewer=viewer) -> Query`; raises errors.ApiError (400) where it can't.

    `parents` and `names` are necessary conditions read off the query, for the store's index: a record that matches has
    one of these parents (aliases resolved), one of these names (case folded); None where the query doesn't say.
    """

    @property
    def parents(self) -> frozenset[str] | None: ...
    @property
    def names(self) -> frozenset[str] | None: ...

    def __call__(self, record: FileRecord) -> bool: ...


class Mask(Protocol):
    """A parsed `fields`: `masks.parse(fields, schema) -> Mask`.

    `names` are the top-level fields asked for, None = all; `child(name)` is the mask of what is inside one, so that
    only what was asked for need be made. `apply` cuts a ready resource down.
    """

    @property
    def names(self) -> frozenset[str] | None: ...

    def child(self, name: str) -> Mask: ...

    def apply(self, resource: JsonObject) -> JsonObject: ...
