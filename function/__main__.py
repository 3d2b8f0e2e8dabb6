"""`python -m function`. `function.command_line` has the commands."""

from function.startup import collect_garbage_rarely, leave_out_working_folder

if __name__ == "__main__":
    leave_out_working_folder()
    collect_garbage_rarely()
    from function.home import utf8

    utf8.restart_where_off()
    from function.command_line import leave, main

    leave(main())
