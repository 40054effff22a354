"""Errors of a file system, each as one line: what failed, where, why, what to do."""

import errno
import os

ADVICE = {
    errno.EACCES: "check your permissions for it and for the folders above it",
    errno.EPERM: "the file system forbids it: check its owner and attributes (lsattr)",
    errno.EROFS: "it is mounted for reading only: mount it for writing",
    errno.ENOSPC: "free the disk",
    errno.EDQUOT: "your quota is used up: remove something, or ask for more",
    errno.EIO: "the disk, or the connection to it, is failing: check the system's log (dmesg)",
    errno.ESTALE: "the file server has replaced it: run the same command again, or mount it again",
    errno.ETIMEDOUT: "the file server does not answer: check the network, then run it again",
    errno.ENOTCONN: "the file system is not connected any more: mount it again",
    errno.EMFILE: "this process has too many files open: raise the limit (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: end other programs",
    errno.ENAMETOOLONG: "the path is too long: choose a shorter one",
    errno.ELOOP: "it is a link, or links lead in a circle: remove them",
    errno.ENOTDIR: "a file is in the place of a folder: move it away",
    errno.EEXIST: "a file is in the place of a folder: move it away",
    errno.EISDIR: "a folder is in the place of a file: move it away",
    errno.EINVAL: "only a plain file can be in this place: move it away",
    errno.EFBIG: "no file of this kind is that large: move it away",
    errno.EBUSY: "other processes use it: run it again later",
}
"""What to do about each error, by its number."""
OTHERWISE = "check the disk and your permissions"


def one_line(error: OSError, where: str | os.PathLike[str], what: str) -> str:
    """Return what is wrong; `what` is what cannot be done: read, listed, written, removed."""
    advice = ADVICE.get(error.errno or 0, OTHERWISE)
    return f"{os.fspath(where)} cannot be {what} ({error.strerror or error}): {advice}"
