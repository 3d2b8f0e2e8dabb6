"""`python -m local_runner`: the command `drive-upload`, whose `serve` brings an embedded Drive with it here."""

from function.startup import leave_out_working_folder

if __name__ == "__main__":
    leave_out_working_folder()
    from local_runner.cli import main

    main(prog_name="python -m local_runner", defaults={"serve": {"emulator": True}})
