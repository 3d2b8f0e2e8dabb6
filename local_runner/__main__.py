"""`python -m local_runner`."""

from local_runner.cli import main

if __name__ == "__main__":
    main()
