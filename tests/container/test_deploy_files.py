"""compose.yaml, the units of systemd and the Kubernetes manifest: what they call and set is what there is."""

import configparser
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pathspec import GitIgnoreSpec

from function.home import settings
from local_runner.cli import cli

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "docs/deploy"
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def parsed(arguments: list[str]) -> str:
    """The subcommand that the arguments call. Raises UsageError where an option or a value is none."""
    group = cli.make_context("drive-upload", list(arguments))
    rest = [*group._protected_args, *group.args]
    name, command, rest = cli.resolve_command(group, rest)
    assert command is not None
    command.make_context(name, rest, parent=group)
    return str(name)


def pods() -> list[dict[str, Any]]:
    """The pod specifications of the manifest."""
    by_kind = {each["kind"]: each["spec"] for each in MANIFESTS if "spec" in each}
    return [
        by_kind["Deployment"]["template"]["spec"],
        by_kind["CronJob"]["jobTemplate"]["spec"]["template"]["spec"],
    ]


def test_compose_calls_what_there_is() -> None:
    """The emulator's flags exist, the retry's loop calls a command, and the variables are settings."""
    services = COMPOSE["services"]
    loop = services["retry"]["entrypoint"][-1]
    environ = COMPOSE["x-upload"]["environment"]
    google = yaml.safe_load((DEPLOY / "compose.google.yaml").read_text(encoding="utf-8"))["services"]

    assert parsed(services["emulator"]["command"]) == "emulator"
    assert parsed(shlex.split(re.findall(r"drive-upload ([^;]+);", loop)[0])) == "retry"
    loaded = settings.load(environ | {"DRIVE_UPLOAD_DRIVE_ROOT": "MemoryVDB"})
    assert loaded.accounts[0].token == Path("/mnt/drive/drive_token.json")
    assert loaded.emulator == "http://emulator:9099"
    assert google["function"]["environment"] == google["retry"]["environment"] == dict.fromkeys(environ, "")


@pytest.mark.parametrize("unit", ["drive-upload.service", "drive-upload-retry.service"])
def test_the_units_call_what_there_is(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ExecStart is a command line that is understood, about a home that the unit may write."""
    for name in ("DRIVE_UPLOAD_HOME", "DRIVE_UPLOAD_PATHS"):
        monkeypatch.setenv(name, "")  # so that what --home sets is undone
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / unit, encoding="utf-8")
    program, *arguments = shlex.split(parser["Service"]["ExecStart"])

    assert program.endswith("/drive-upload")
    assert parsed(arguments) in ("serve", "retry")
    assert parser["Service"]["ReadWritePaths"] in arguments


def test_the_manifest_holds_together() -> None:
    """Names that refer to something do, the variables are settings, and the containers run as the image's user."""
    names = {(each["kind"], each["metadata"]["name"]) for each in MANIFESTS}
    (config,) = (each["data"] for each in MANIFESTS if each["kind"] == "ConfigMap")
    loaded = settings.load({name: text for name, text in config.items() if name.startswith("DRIVE_UPLOAD_")})

    assert (loaded.lock, str(loaded.home)) == ("lease", "/mnt/home")
    for pod in pods():
        (container,) = pod["containers"]
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert parsed(container["args"]) in ("serve", "retry")
        assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in names
        assert mounts.keys() == {each["name"] for each in pod["volumes"]}
        assert ("PersistentVolumeClaim", pod["volumes"][0]["persistentVolumeClaim"]["claimName"]) in names
        assert str(loaded.accounts[0].token).startswith(mounts["token"])
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["enableServiceLinks"] is False  # the service's variables would be settings that there aren't
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


SECRETS = (
    "drive_token.json",
    "client_secret.json",
    "client_secrets.json",
    "client_secret_123.apps.googleusercontent.com.json",
    "service-account.json",
    "service-account-key.json",
)


def ignored(name: str) -> GitIgnoreSpec:
    """The patterns of an ignore file, with those that it includes."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    if name == ".dockerignore":  # its patterns start at the top
        return GitIgnoreSpec.from_lines(re.sub(r"^(!?)(?![#*/]\*|#)", r"\1/", line) for line in lines)
    included = [line.partition(":")[2] for line in lines if line.startswith("#!include:")]
    return GitIgnoreSpec.from_lines(
        [*lines, *(line for each in included for line in (PROJECT / each).read_text(encoding="utf-8").splitlines())]
    )


@pytest.mark.parametrize("name", [".gitignore", ".dockerignore", ".gcloudignore"])
def test_a_homes_secrets_stay_in_the_clone(name: str) -> None:
    """Neither a commit nor the image nor Cloud Build's bucket gets one, in whatever folder it lies."""
    spec = ignored(name)

    assert [each for each in SECRETS if not spec.match_file(each)] == []
    assert [each for each in SECRETS if not spec.match_file(f"function/{each}")] == []


@pytest.mark.parametrize("name", [".dockerignore", ".gcloudignore"])
def test_the_files_of_a_home_stay_in_the_clone(name: str) -> None:
    """The home of compose.yaml is the clone: of Data/ only the sample is taken, and no token by another name."""
    spec = ignored(name)

    assert all(spec.match_file(each) for each in ("Data/mine.txt", "Data/Meta/mine.txt", "me.json", "upload_log.json"))
    assert not spec.match_file("Data/Meta/AI_Architecture.txt")
    assert not spec.match_file("function/main.py")


def test_nothing_of_the_project_is_left_behind() -> None:
    """What git keeps is what Cloud Build gets, and the sample is the image's, too."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("this is no clone")
    tracked = [each for each in listed.split("\0") if each and (PROJECT / each).exists()]
    sample = [each for each in tracked if each.startswith("Data/")]

    assert [each for each in tracked if ignored(".gcloudignore").match_file(each)] == []
    assert [each for each in sample if ignored(".dockerignore").match_file(each)] == []


def test_a_wrong_option_would_be_seen() -> None:
    """The check itself finds an option that no command has."""
    with pytest.raises((click.UsageError, click.exceptions.Exit)):  # the emulator's own command shows it and exits
        parsed(["emulator", "--colour", "green"])
