"""Files that are not whole yet."""

from uuid import uuid4


def beside(path):
    """Return where a file is written before it takes its place.

    Parameters
    ----------
    path : Path
        Where it goes.

    Returns
    -------
    Path
        In the same directory, hidden, and like no other: two workers may write the same file at once, and the numbers
        of their processes are the same in two containers.
    """
    return path.with_name(f".{path.name}.{uuid4().hex}.partial")
