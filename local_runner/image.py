"""`drive-upload` inside the image: `serve` answers the network, and `upload` prints what a program reads."""

from local_runner.cli import main

if __name__ == "__main__":
    main(defaults={"serve": {"host": "0.0.0.0"}, "upload": {"as_json": True}})  # noqa: S104 - a container's own network
