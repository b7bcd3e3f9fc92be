"""One training at a time in a workdir; a second one is told who is there.

The operating system's lock of a file ends with its process, however that ends, and on most network
file systems holds for all machines. Where it is not to be had, the process that the file names
tells: whether it lives on this machine, or is one of another, of which nothing is known.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from neural_sdf.mistake import Mistake

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = "training.lock"


class Owner(NamedTuple):
    """Who trains.

    Attributes:
        pid: of the process.
        host: name of its machine.
        since: when it began, local time.
    """

    pid: int
    host: str
    since: str


@contextlib.contextmanager
def claimed(workdir: Path) -> Iterator[None]:
    """Keeps a workdir for one training; folders made for it that stay empty are removed again.

    What cannot be written in is not claimed: whoever tries to write there says so.

    Raises:
        Mistake: another training, of this process or another, has it, or its file is another's.
    """
    path = workdir / NAME
    made = [folder for folder in (workdir, *workdir.parents) if not folder.exists()]
    file = None
    try:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            file = _locked(path)
        except OSError as error:
            if path.exists():
                raise Mistake(f"{path}: {error.strerror}", setting="workdir") from error
        yield
    finally:
        if file is not None:
            if fcntl is None:  # Windows removes no open file
                file.close()
            path.unlink(missing_ok=True)  # while it is locked: no other can have it by now
            file.close()
        with contextlib.suppress(OSError):  # not empty, as it should be
            for folder in made:
                folder.rmdir()


def _locked(path: Path) -> IO[str]:
    """The file, with this process's name in it, open and locked as far as that goes."""
    while True:
        with contextlib.ExitStack() as closing:
            file = closing.enter_context(path.open("a+"))
            _claim(file, path)
            if _is_at(path, file):
                closing.pop_all()
                return file


def _claim(file: IO[str], path: Path) -> None:
    """Writes this process's name into the file, unless another's is there that lives."""
    locked, owner = _lock(file), _owner(file)
    here = Owner(os.getpid(), platform.node(), time.strftime("%Y-%m-%d %H:%M:%S"))
    if locked is False or (locked is None and owner is not None and _may_live(owner, here)):
        name = "another process" if owner is None else "process {} on {} since {}".format(*owner)
        raise Mistake(
            f"{path.parent} is being trained in, by {name}; expected one training at a time",
            setting="workdir",
            remedy=f"or wait for its end{'' if locked is False else f'; if it has, delete {path}'}",
        )
    file.truncate(0)
    file.write(json.dumps(here._asdict()))
    file.flush()


def _is_at(path: Path, file: IO[str]) -> bool:
    """Whether the file is still there: its owner may have removed it since it was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _lock(file: IO[str]) -> bool | None:
    """Whether this process has the lock now; None where there are none."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without
        return None
    return True


def _owner(file: IO[str]) -> Owner | None:
    file.seek(0)
    try:
        return Owner(**json.loads(file.read()))
    except (ValueError, TypeError):  # nothing yet, or a part
        return None


def _may_live(owner: Owner, here: Owner) -> bool:
    if owner.host != here.host or os.name == "nt":  # where signal 0 is no question
        return True
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
