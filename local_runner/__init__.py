"""Drive Upload on your own machine: the command line, and a Google Drive to try it on."""
