"""Scripts started in forks of one warm process, which has what every start imports already.

    python forked.py

reads a start a line of its input, `{"argv", "cwd", "env", "output", "errors"}` as JSON: a script
with its arguments, where it runs, and the files that take what it prints. Answers each with the
status, as `subprocess` gives it. JAX and NumPy are not imported here, for a process with threads
must not be forked, and because scripts are to start without them.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from absl import flags  # noqa: F401
from ml_collections import config_flags  # noqa: F401

from neural_sdf import launch  # noqa: F401


def become(start: dict) -> None:
    """The rest of this process is the script."""
    for number, name in ((0, os.devnull), (1, start["output"]), (2, start["errors"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.chdir(start["cwd"])
    os.environ.clear()
    os.environ.update(start["env"])
    sys.argv = start["argv"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


def serve() -> None:
    for line in sys.stdin:
        start = json.loads(line)
        child = os.fork()
        if child == 0:
            become(start)
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
