"""Scripts started in forks of one warm process, which has what every start imports already.

    python forked.py MODULE...

imports the modules, then reads a start a line of its input, `{"argv", "cwd", "env", "output",
"errors"}` as JSON: a script with its arguments, where it runs, and the files that take what it
prints. Answers each with the status, as `subprocess` gives it. `forks` does so from a test.
"""

import contextlib
import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTING = ("absl.flags", "ml_collections.config_flags", "neural_sdf.launch")
WORKING = ("jax", "flax.nnx", "optax", "orbax.checkpoint", "scipy.ndimage", "PIL.Image", "tqdm")


def become(start: dict) -> None:
    """The rest of this process is the script."""
    for number, name in ((0, os.devnull), (1, start["output"]), (2, start["errors"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.chdir(start["cwd"])
    os.environ.clear()
    os.environ.update(start["env"])
    sys.argv = start["argv"]
    script = Path(sys.argv[0]).resolve()
    sys.path[0] = str(script if script.is_dir() else script.parent)
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


@contextlib.contextmanager
def forks(folder: Path, *modules: str) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """As `python` with a script, in forks of one process that has imported the modules.

    Args:
        folder: takes what is printed, before it is read.
        modules: none of them may start threads that a fork would miss.
    """
    output, errors = folder / "output", folder / "errors"
    with subprocess.Popen(
        [sys.executable, __file__, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin and server.stdout

        def run(*argv: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
            for path in (output, errors):
                path.write_text("")
            inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
            start = {"argv": [*map(str, argv)], "cwd": str(cwd), "env": inherited | env}
            start |= {"output": str(output), "errors": str(errors)}
            server.stdin.write(json.dumps(start) + "\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
            return subprocess.CompletedProcess(argv, status, output.read_text(), errors.read_text())

        yield run
        server.stdin.close()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    serve()
