"""`python -m function`. `function.command_line` has the commands."""

from function.startup import collect_garbage_rarely, leave_out_working_folder, outlive_output, restart_in_utf8

if __name__ == "__main__":
    leave_out_working_folder()
    outlive_output()
    restart_in_utf8()
    collect_garbage_rarely()
    from function.command_line import leave, main

    leave(main())
