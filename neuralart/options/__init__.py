"""The options of the commands: a dataclass for each, and how the command line fills it."""
