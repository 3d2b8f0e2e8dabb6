"""compose.yaml, the units of systemd and the Kubernetes manifest: what they call and set is what there is."""

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

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


def test_a_wrong_option_would_be_seen() -> None:
    """The check itself finds an option that no command has."""
    with pytest.raises((click.UsageError, click.exceptions.Exit)):  # the emulator's own command shows it and exits
        parsed(["emulator", "--colour", "green"])
