"""cloudbuild.yaml, where Cloud Build's published schema looks away.

The schema lets unknown top-level keys pass and knows neither substitutions nor the names that `waitFor` refers to.
Source: Cloud Build, "Build configuration file schema" and "Substituting variable values".
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from function.serving.server import THREADS

CLOUDBUILD = Path(__file__).parents[2] / "cloudbuild.yaml"

TOP_LEVEL_KEYS = frozenset(
    "artifacts availableSecrets dependencies gitConfig images logsBucket options queueTtl secrets serviceAccount "
    "source steps substitutions tags timeout".split()
)
BUILT_IN_SUBSTITUTIONS = frozenset(
    "BRANCH_NAME BUILD_ID COMMIT_SHA LOCATION PROJECT_ID PROJECT_NUMBER REF_NAME REPO_FULL_NAME REPO_NAME REVISION_ID "
    "SERVICE_ACCOUNT SERVICE_ACCOUNT_EMAIL SHORT_SHA TAG_NAME TRIGGER_BUILD_CONFIG_PATH TRIGGER_NAME".split()
)
OWN_NAME = re.compile(r"_[A-Z0-9_]+")
REFERENCE = re.compile(r"\$\$|\$\{(\w+)\}|\$([A-Za-z_]\w*)")
"""`$$` is an escaped dollar; a reference is `$NAME` or `${NAME}`."""


def texts(node: Any) -> list[str]:
    """All strings below a node in which Cloud Build substitutes; a step's `script` is left to its shell."""
    if isinstance(node, str):
        return [node]
    if isinstance(node, dict):
        return [text for key, value in node.items() if key != "script" for text in texts(value)]
    return [text for item in node for text in texts(item)] if isinstance(node, list) else []


def references(node: Any) -> set[str]:
    """The names of all substitutions that a node uses."""
    return {m[1] or m[2] for text in texts(node) for m in REFERENCE.finditer(text) if m[1] or m[2]}


def problems(build: dict[str, Any]) -> list[str]:
    """What Cloud Build would refuse in this configuration, a sentence each."""
    found = [f"unknown top-level key {key}" for key in sorted(build.keys() - TOP_LEVEL_KEYS)]
    own = build.get("substitutions", {})
    used = references(build)
    found += [
        f"substitution {name} must begin with _" for name in sorted(own) if not re.fullmatch(r"_[A-Z0-9_]+", name)
    ]
    found += [f"undefined substitution {name}" for name in sorted(used - own.keys() - BUILT_IN_SUBSTITUTIONS)]
    found += [f"substitution {name} is never used" for name in sorted(own.keys() - used)]
    if references(own) and not build.get("options", {}).get("dynamicSubstitutions"):
        found.append("substitutions name one another without options.dynamicSubstitutions")
    return found + _step_problems(build["steps"])


def _step_problems(steps: list[dict[str, Any]]) -> list[str]:
    """Wrong `waitFor` names: "-" alone means at once, another name must be an earlier step's id."""
    found = []
    earlier: set[str] = set()
    for number, step in enumerate(steps):
        label = step.get("id", f"number {number}")
        unknown = [name for name in step.get("waitFor", []) if name != "-" and name not in earlier]
        found += [f"step {label} waits for {name}, which is no earlier step" for name in unknown]
        found += [f"two steps are called {label}"] if label in earlier else []
        found += [f"step {label} has both script and args"] if "script" in step and "args" in step else []
        earlier.add(label)
    return found


@pytest.fixture
def build() -> dict[str, Any]:
    """cloudbuild.yaml, parsed."""
    loaded = yaml.safe_load(CLOUDBUILD.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_the_build_is_accepted(build: dict[str, Any]) -> None:
    """Nothing in cloudbuild.yaml is unknown, undefined, unused or out of order."""
    assert problems(build) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"step": []}, "unknown top-level key step"),
        ({"tags": ["$_REGOIN"]}, "undefined substitution _REGOIN"),
        ({"tags": ["${COMMIT}"]}, "undefined substitution COMMIT"),
        ({"substitutions": {"_SPARE": "x"}}, "substitution _SPARE is never used"),
        ({"substitutions": {"SPARE": "x"}, "tags": ["$SPARE"]}, "substitution SPARE must begin with _"),
        (
            {"substitutions": {"_A": "$_B", "_B": "x"}, "tags": ["$_A"]},
            "substitutions name one another without options.dynamicSubstitutions",
        ),
        ({"steps": [{"id": "a", "name": "x", "waitFor": ["b"]}]}, "step a waits for b, which is no earlier step"),
        ({"steps": [{"id": "a", "name": "x"}, {"id": "a", "name": "x"}]}, "two steps are called a"),
        ({"steps": [{"id": "a", "name": "x", "script": "", "args": []}]}, "step a has both script and args"),
    ],
)
def test_a_mistake_is_found(change: dict[str, Any], problem: str) -> None:
    """Each kind of mistake that the schema lets pass is named."""
    assert problems({"steps": [{"name": "x"}]} | change) == [problem]


def test_escapes_and_scripts_are_left_to_the_shell() -> None:
    """A doubled dollar is no reference, and in a script dollars are the shell's."""
    step = {"name": "x", "args": ["$$HOME", "a$${HOME}"], "env": ["PRICE=5$"]}
    script = {"name": "x", "script": "echo $UNKNOWN", "waitFor": ["-"]}

    assert problems({"steps": [step, script]}) == []


def test_limits_are_nested(build: dict[str, Any]) -> None:
    """The job gives up before the service does, and the service before a task's ten minutes are over."""
    deploy = next(step for step in build["steps"] if step.get("id") == "deploy")
    flags = dict(arg.partition("=")[::2] for arg in deploy["args"] if arg.startswith("--"))
    variables = dict(pair.split("=") for pair in flags["--set-env-vars"].split(","))

    assert int(variables["DRIVE_UPLOAD_DEADLINE_S"]) + 10 < int(flags["--timeout"]) < 600
    assert variables["DRIVE_UPLOAD_LOCK"] == "lease"
    assert "--no-allow-unauthenticated" in flags


def test_an_instance_has_a_thread_for_each_request(build: dict[str, Any]) -> None:
    """Cloud Run gives an instance fewer requests than it has threads, and instances share the state by leases."""
    deploy = next(step for step in build["steps"] if step.get("id") == "deploy")
    flags = dict(arg.partition("=")[::2] for arg in deploy["args"] if arg.startswith("--"))
    variables = dict(pair.split("=") for pair in flags["--set-env-vars"].split(","))

    assert flags["--concurrency"] == "${_CONCURRENCY}"
    assert int(build["substitutions"]["_CONCURRENCY"]) < THREADS
    assert int(build["substitutions"]["_INSTANCES"]) == 1 or variables["DRIVE_UPLOAD_LOCK"] == "lease"


@pytest.mark.parametrize(("given", "label"), [("0123abc", "REVISION=0123abc"), ("", "REVISION=build 42")])
def test_the_image_is_labelled_in_a_manual_submit_too(
    build: dict[str, Any], given: str, label: str, tmp_path: Path
) -> None:
    """COMMIT_SHA is empty there: the build's id stands in its place."""
    step = next(step for step in build["steps"] if step.get("id") == "build")
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    docker.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REVISION": given, "BUILD": "42", "IMAGE": "x"}

    shown = subprocess.run(["bash", "-c", step["script"]], env=environ, capture_output=True, text=True, check=True)

    assert label in shown.stdout.splitlines()
    assert {each.partition("=")[0] for each in step["env"]} >= environ.keys() - {"PATH"}
