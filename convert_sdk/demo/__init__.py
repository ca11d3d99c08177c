"""The two demonstrations behind the command line. Needs the extras `cli` and `server`."""
