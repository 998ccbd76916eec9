"""The errors that a user of rootlessnet can meet.

Every message is one line that names the thing that failed and the remedy, so that the command line
can print it as it is. Anything else that escapes is a defect of ours.
"""


class RootlessnetError(Exception):
    """Something the user can mend. `exit_status` is what the program ends with."""

    exit_status = 1


class UsageError(RootlessnetError):
    """An argument that makes no sense."""

    exit_status = 2


class CommandError(RootlessnetError):
    """The command could not be executed: `exit_status` 127 when not found, 126 otherwise."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status
