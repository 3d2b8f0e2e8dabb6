"""`lock: lease` when holders die: the lease runs out, whatever state its marker was left in."""

import pytest

from tests.crash.world import Station

LEASE_S = 0.3


@pytest.mark.parametrize("marker", [b"", b"no record", b"\x00" * 40])
def test_a_marker_that_its_owner_did_not_live_to_write_runs_out(marker: bytes) -> None:
    """A process that dies between creating its lock file and writing its name into it blocks nobody for long."""
    with Station() as station, station.world(lease_s=LEASE_S) as world:
        world.home.put("Meta/zones.txt", b"zones")
        (world.home.folder / "drive_upload.lock").write_bytes(marker)

        ended = world.run({"path": "Data/Meta/zones.txt"})

    assert ended.statuses == ["uploaded"]
