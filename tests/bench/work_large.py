"""The row of one large file: throughput against curl, CPU and memory against rclone."""

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.bench import contenders
from tests.bench.contenders import serving
from tests.bench.rows import Bar, Player, Row, medians
from tests.bench.stage import Figures, Room, Stage
from tests.bench.work_small import Effort

GIB = 1 << 30

QUICK_BYTES = 64 << 20

PEAK_LIMIT_MB = 100.0

FIELDS = "id,size,md5Checksum,sha256Checksum"
"""Curl's session is asked for what ours is asked for: the Drive digests only what somebody wants to see."""


def large(stage: Stage, effort: Effort) -> list[Row]:
    """One large file without latency: curl and ours straight to the Drive, then everyone over TLS."""
    stage.weather(latency_ms=0)
    return [_straight(stage, effort), _over_tls(stage, effort)]


def _straight(stage: Stage, effort: Effort) -> Row:
    """Without TLS: what a connection can carry."""
    room = stage.room()
    own = {key: value for key, value in room.environ.items() if key not in stage.environ}
    room = Room(room.folder, {**own, "DRIVE_EMULATOR_HOST": stage.url})
    (room.folder / "drive_token.json").write_text(json.dumps(stage.token), encoding="utf-8")  # the emulator's own
    with serving(room) as server:
        found = medians(_turns(stage, [(server, room), (contenders.ONE_OFF, room), (Curl(), room)], effort))
    bars = [
        Bar(
            "throughput of a large file against curl -T", found["curl -T"].wall_s / found[server.name].wall_s, 0.9, True
        )
    ]
    conditions = "no latency, no TLS; the Drive digests what a connection brings in one thread"
    return Row(f"One file of {_shown(effort)}, straight to the Drive", conditions, found, bars, effort.runs)


def _over_tls(stage: Stage, effort: Effort) -> Row:
    """As against Google."""
    seats: list[tuple[Player, Room]] = [(contenders.ONE_OFF, stage.room()), (contenders.RCLONE, stage.room())]
    samples = _turns(stage, seats, effort)
    if not effort.quick:
        scripts: list[tuple[Player, Room]] = [
            (contenders.API_CLIENT, stage.room()),
            (contenders.PYDRIVE2, stage.room()),
        ]
        samples |= _turns(stage, scripts, Effort(quick=False, runs=1))
    found = medians(samples)
    ours, rclone = found[contenders.ONE_OFF.name], found[contenders.RCLONE.name]
    bars = [
        Bar("CPU seconds of a large file against rclone", (ours.cpu_s or 0) / (rclone.cpu_s or 1), 1.5),
        Bar("peak memory of a large file, MB", (ours.peak_bytes or 0) / 1e6, PEAK_LIMIT_MB),
    ]
    return Row(f"One file of {_shown(effort)}, over TLS", "no latency; scripts once", found, bars, effort.runs)


def _turns(stage: Stage, seats: Sequence[tuple[Player, Room]], effort: Effort) -> dict[str, list[Figures]]:
    """All contenders in turn, each file new, and gone again afterwards, here and on the Drive."""
    samples: dict[str, list[Figures]] = defaultdict(list)
    for run in range(effort.runs):
        for player, room in seats:
            folder = f"Data/Large{run}-{len(samples)}"
            player.play(stage, room, folder, room.files(folder, 1, 1000))
            files = room.files(folder, 1, QUICK_BYTES if effort.quick else GIB)
            samples[player.name].append(player.play(stage, room, folder, files))
            (room.folder / files[0]).unlink()
            stage.delete(Path(files[0]).name)
    return samples


def _shown(effort: Effort) -> str:
    return "64 MiB" if effort.quick else "1 GiB"


@dataclass(frozen=True, slots=True)
class Curl:
    """`curl -T FILE SESSION`, the session begun beforehand: the bare transfer."""

    name: str = "curl -T"

    def play(self, stage: Stage, room: Room, folder: str, files: Sequence[str]) -> Figures:
        """Begin a session and time curl alone."""
        begun = requests.post(
            f"{stage.url}/upload/drive/v3/files?uploadType=resumable&fields={FIELDS}",
            json={"name": Path(files[0]).name},
            headers={"authorization": f"Bearer {stage.token['token']}"},
            timeout=60,
        )
        begun.raise_for_status()
        curl = shutil.which("curl")
        assert curl, "curl is needed for this row"
        return stage.run(room, [curl, "-sS", "--fail", "-T", files[0], begun.headers["location"]])
