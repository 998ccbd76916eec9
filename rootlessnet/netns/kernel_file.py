"""Files of /proc: settings and news of the kernel's, read and written as a whole.

pathlib does the same, and takes 2 ms of a start to import.

Read: proc(5).
"""


def read(path: str) -> str:
    """What the kernel says there; what is no UTF-8 as surrogates. Raises OSError."""
    with open(path, errors="surrogateescape") as file:
        return file.read()


def write(path: str, text: str) -> None:
    """Tell the kernel, in one write(2). Raises OSError."""
    with open(path, "w") as file:
        file.write(text)
