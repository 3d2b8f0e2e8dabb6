"""The project's own files agree with one another: declared, locked, versioned."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import function

PROJECT = Path(__file__).parents[1]

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:.*\\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
"""One pinned package of a lock file: its name, its version, its hashes."""


def pyproject() -> dict[str, Any]:
    """pyproject.toml, parsed."""
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(lock: str) -> dict[str, set[str]]:
    """Package -> the versions that a lock file allows; more than one where Python versions differ."""
    found: dict[str, set[str]] = {}
    for name, version, _ in PIN.findall((PROJECT / lock).read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_file_is_hashes_and_no_addresses(lock: str) -> None:
    """Every package is pinned with hashes, and where they come from is left to whoever installs."""
    text = (PROJECT / lock).read_text(encoding="utf-8")

    lines = [line for line in text.splitlines() if line[:1].isalnum()]
    assert len(lines) == len(PIN.findall(text)) > 0
    assert "://" not in text
    assert "--index" not in text


def test_the_locks_are_layers() -> None:
    """What the image and `make demo` run is what the tests run, version by version."""
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_the_locks_keep_what_is_declared() -> None:
    """Every declared requirement, and every override of a dependency's cap, is met by the version locked for it."""
    project = pyproject()
    declared = [
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
        *project["dependency-groups"]["dev"],
        *project["tool"]["uv"]["override-dependencies"],
    ]
    locked = pins("requirements-dev.txt")

    unmet = [
        line
        for line in map(Requirement, declared)
        if not all(line.specifier.contains(version) for version in locked.get(canonicalize_name(line.name), {"0"}))
    ]

    assert unmet == []


def test_one_version_everywhere() -> None:
    """pyproject.toml, the running function and the changelog speak of one version."""
    version = pyproject()["project"]["version"]
    newest = re.search(r"^## \[(.+?)\]", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert function.__version__ == version
    assert newest
    assert newest[1] in {"Unreleased", version}
