"""How a file is called and marked on Drive: names, ownership marks, the caller's metadata, the MIME type. Pure."""

import hashlib
import itertools
import json
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import msgspec


def numbered(name: str, number: int) -> str:
    """`Name (number).ext`."""
    stem, suffix = _parts(name)
    return f"{stem} ({number}){suffix}"


def number_of(candidate: str, name: str) -> int:
    """2 for `Name (2).ext`; 1 for the name itself and for what is none of its candidates."""
    stem, suffix = _parts(name)
    inside = candidate.removeprefix(f"{stem} (").removesuffix(f"){suffix}")
    return int(inside) if inside.isdecimal() and candidate == f"{stem} ({inside}){suffix}" else 1


def _parts(name: str) -> tuple[str, str]:
    dot = name.rfind(".")
    at = dot if 0 < dot < len(name) - 1 else len(name)
    return name[:at], name[at:]


def drive_name(name: str) -> str:
    """The name on Drive of a local one; bytes that aren't UTF-8 are written as %XX, since Drive's names are text."""
    return "".join(f"%{ord(each) - 0xDC00:02X}" if "\udc80" <= each <= "\udcff" else each for each in name)


def same(name: str) -> str:
    """The one form of all spellings of a name or path that look alike: macOS writes `é` as two characters, others as
    one. Drive keeps what it is given, so that is not how things are named there, but how names are compared.
    """
    return unicodedata.normalize("NFC", name)


def spellings(name: str) -> frozenset[str]:
    """The name, and how others may have spelled it: what Drive is asked for."""
    return frozenset((name, same(name), unicodedata.normalize("NFD", name)))


def ownership_mark(destination: str) -> str:
    """Our mark in the appProperties of what is made for that destination: the same from every home."""
    return state_key(destination)


def state_key(text: str) -> str:
    """32 hex digits that name a receipt or a lock."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


QUOTED_MAX = 80
"""Characters of a stranger's text that a message repeats."""


def quoted(text: str) -> str:
    """The text in quotes and shortened, what can't be printed escaped: it is fit for any message."""
    shown = repr(text[:QUOTED_MAX])
    return f"{shown[:-1]}…{shown[-1]}" if len(text) > QUOTED_MAX else shown


PROPERTIES_MAX = 30
PROPERTY_MAX_BYTES = 124
"""Public properties per file; UTF-8 bytes of key plus value. Source: Drive guide, 'Add custom file properties'."""

DESCRIPTION_MAX_CHARS = 2_000_000
"""Longer metadata is in the log only: no limit of Drive's is known, and nobody reads that in a file's details."""

_ESCAPE_CHARS = 6
"""Characters of a JSON escape such as \\u00e9."""

_TYPES: Final = """
application/epub+zip epub
application/gzip gz tgz
application/javascript js mjs cjs
application/json json ipynb
application/ld+json jsonld
application/manifest+json webmanifest
application/msword doc dot
application/octet-stream bin
application/pdf pdf
application/postscript ps eps
application/rtf rtf
application/sql sql
application/toml toml
application/vnd.android.package-archive apk
application/vnd.apache.parquet parquet
application/vnd.ms-excel xls
application/vnd.ms-excel.sheet.macroenabled.12 xlsm
application/vnd.ms-outlook msg
application/vnd.ms-powerpoint ppt
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.sqlite3 sqlite sqlite3
application/wasm wasm
application/x-7z-compressed 7z
application/x-brotli br
application/x-bzip2 bz2 tbz2
application/x-compress z
application/x-ndjson ndjson jsonl
application/x-sh sh
application/x-tar tar
application/x-tex tex
application/x-xz xz txz
application/yaml yaml yml
application/zip zip
application/zstd zst
audio/aac aac
audio/flac flac
audio/midi mid midi
audio/mp4 m4a
audio/mpeg mp3
audio/ogg ogg oga
audio/opus opus
audio/x-aiff aif aiff
audio/x-wav wav
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/avif avif
image/bmp bmp
image/gif gif
image/heic heic
image/heif heif
image/jpeg jpg jpeg jpe
image/png png
image/svg+xml svg
image/tiff tif tiff
image/vnd.adobe.photoshop psd
image/vnd.microsoft.icon ico
image/webp webp
message/rfc822 eml
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/markdown md markdown
text/plain txt text log conf cfg ini srt
text/tab-separated-values tsv
text/vtt vtt
text/x-c c h
text/x-java java
text/x-python py
text/x-rst rst
text/vcard vcf
text/xml xml xsl
video/3gpp 3gp
video/mp4 mp4 m4v
video/mpeg mpeg mpg
video/quicktime mov qt
video/webm webm
video/x-matroska mkv
video/x-msvideo avi
"""
"""One type a line, then its suffixes: shipped, since a host's own table differs from machine to machine.

A suffix that names two kinds of file (`ts`: TypeScript and video) is left out. A compressed file's last suffix names
the compression, whatever is inside. No type of Google's is among them: Drive would convert the file.
"""

_TYPE_OF: Final = {suffix: words[0] for line in _TYPES.splitlines() if (words := line.split()) for suffix in words[1:]}


def mime_type(name: str) -> str | None:
    """The type that the name's suffix stands for; None where that isn't known, so that Drive looks at the content."""
    stem, _, suffix = name.rpartition(".")
    return _TYPE_OF.get(suffix.lower()) if stem else None


def metadata_for_drive(metadata: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """Metadata as (properties, description): what fits Drive's limits, and the whole where not all of it fits."""
    texts = ((_text(key), _property(value)) for key, value in metadata.items())
    fitting = {
        name: text
        for name, text in texts
        if name and text is not None and len(f"{name}{text}".encode()) <= PROPERTY_MAX_BYTES
    }
    properties = dict(itertools.islice(fitting.items(), PROPERTIES_MAX))
    if len(properties) == len(metadata) or _is_longer(metadata, DESCRIPTION_MAX_CHARS):
        return properties, None
    return properties, _json(metadata)


def _property(value: object) -> str | None:
    """The value as a text, None where it can't fit whatever its name is."""
    if isinstance(value, str):
        return _text(value) if len(value) <= PROPERTY_MAX_BYTES else None
    return None if _is_longer(value, PROPERTY_MAX_BYTES * _ESCAPE_CHARS) else _json(value)


def _is_longer(value: object, chars: int) -> bool:
    """Whether its JSON in ASCII is longer. Of what is long already in UTF-8 it isn't made: it is thrice as long."""
    return len(as_json(value)) > chars or len(json.dumps(value)) > chars


def _json(value: object) -> str:
    return _text(json.dumps(value, ensure_ascii=False))


def as_json(value: object) -> bytes:
    """JSON in UTF-8; what UTF-8 can't carry, as in names of files that aren't UTF-8, as escapes.

    In ASCII, emoji have three times as many bytes: 10 MB of metadata made an answer of 30 MB, and several copies of it.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def _text(text: str) -> str:
    """The text as UTF-8 can carry it: a lone surrogate, which JSON can, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def description_to_tell(wanted: str | None, standing: str | None, told_before: str) -> str | None:
    """The description to set beside one that stands there; None leaves it, "" takes ours away.

    Ours is the JSON of the metadata that Drive was told before, of which `told_before` is the digest. What people wrote
    there stays.
    """
    if not standing:
        return wanted
    try:
        is_ours = metadata_digest(json.loads(standing)) == told_before
    except (ValueError, AttributeError, RecursionError):  # a text, or JSON of something else
        is_ours = False
    return (wanted or "") if is_ours else None


def are_as_told(properties: Mapping[str, str | None], description: str | None, told_before: str) -> bool:
    """Whether a file's properties, with its description or none, are those of which `told_before` is the digest."""
    return any(_digest(properties, each) == told_before for each in (None, description))


def metadata_digest(metadata: Mapping[str, Any]) -> str:
    """What tells one caller's metadata from another's; empty where there is none."""
    return _digest(*metadata_for_drive(metadata)) if metadata else ""


def _digest(properties: Mapping[str, str | None], description: str | None) -> str:
    return hashlib.sha256(json.dumps((properties, description), sort_keys=True).encode()).hexdigest()[:32]
