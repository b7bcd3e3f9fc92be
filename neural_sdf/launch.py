"""Start-up of every command: correct numbers, flags, and one line for a user's mistake.

Imports nothing heavy, so that `--help` answers at once and the XLA flag is set before anything
imports JAX.
"""

import atexit
import gc
import importlib.metadata
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import flags

from neural_sdf.commands import as_started, configs, until_enough_is_read
from neural_sdf.machine.programs import keep_programs
from neural_sdf.mistake import Doubt, Mistake, RunEnded

# XLA's YNN reduce fusion for CPUs returns wrong sums (jaxlib 0.10.2, jax-ml/jax#39103) and drops
# NaN from max and min (0.10.1 to 0.12.0.1, openxla/xla#21461), both without an error. An XLA
# that does not know a flag aborts the process, so only the releases that were seen to accept it
# get it. Delete when `check_backend` passes without it on every jaxlib that pyproject admits.
_FUSION = "--xla_cpu_experimental_ynn_fusion_type"
_NO_REDUCE = f"{_FUSION}=-reduce"
_ACCEPTING = ("0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.12.0.1")


def correct_reductions() -> None:
    """Turns off the XLA fusion that gets reductions wrong; call it before JAX is imported.

    Keeps a user's own setting of that flag, and changes nothing when called again. `XLA_FLAGS`
    that names a file of flags is left alone too: `check_backend` tells if that is harmful.
    """
    given = os.environ.get("XLA_FLAGS", "").strip()
    names_a_file = bool(given) and not given.startswith("-")
    known = importlib.metadata.version("jaxlib") in _ACCEPTING
    if known and not names_a_file and _FUSION not in given:
        os.environ["XLA_FLAGS"] = f"{given} {_NO_REDUCE}".strip()


def check_backend() -> None:
    """Refuses a backend whose reductions are wrong, by the two cases that were caught wrong.

    Raises:
        RunEnded: the backend returns wrong numbers; the message has the remedy.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    # On jaxlib 0.10.2 half of these sums are wrong: rows of three float64 numbers, 32769 of them.
    rows = np.linspace(-1, 1, 3 * 32769).reshape(-1, 3)
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        matrix = jnp.eye(3)
        row_sums = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(rows)
    numbers = np.ones(100_000, np.float32)
    numbers[7] = np.nan
    faults = []
    if not np.allclose(row_sums, (rows**2).sum(axis=1), rtol=1e-6):
        faults.append("sums are wrong")
    if not np.isnan(jax.jit(jnp.max)(numbers)):
        faults.append("max drops NaN")
    if faults:
        raise RunEnded(
            f"jaxlib {importlib.metadata.version('jaxlib')} computes wrong numbers on the "
            f"{jax.default_backend()} backend ({', '.join(faults)}; "
            f"XLA_FLAGS={os.environ.get('XLA_FLAGS', '')!r}); add {_NO_REDUCE} to XLA_FLAGS "
            f"before JAX starts, with one of jaxlib {', '.join(_ACCEPTING)}"
        )


@until_enough_is_read()
def run(
    main: Callable[[], None], required: Sequence[str] = (), saved_config: Path | None = None
) -> NoReturn:
    """Runs a script: sets up XLA, parses the flags, calls `main`, exits with a status.

    | what happened | shown | status |
    |---|---|---|
    | `main` returned | nothing more | 0 |
    | `--help` or `-h` | the script's docstring and flags | 0 |
    | a user's mistake: a flag, the config, bad input | `error: ...`, one line | 2 |
    | a run that cannot go on: wrong backend, loss not finite | `error: ...`, one line | 1 |
    | Ctrl-C, SIGTERM | `interrupted`, and what was begun is removed | 130, 143 |
    | who reads the output has enough, as `head` | nothing more | 1 |
    | anything else: a bug | its traceback | 1 |

    Whatever fails while flags and config are read is the user's mistake. Of what `main` raises,
    `Mistake` and `RunEnded` are meant for the user, and every other error is a bug. A setting that
    a mistake names is shown as this command takes it, `--downscale` or `--config.data.downscale`.

    Args:
        main: the script's work; it reads its flags itself.
        required: names of the flags that must be given.
        saved_config: a config file whose `get_config` takes the path of a config.json, in a script
            whose --config may be such a file, and is that of --workdir if absent, or the name of
            a file of configs/.
    """
    correct_reductions()
    warnings.formatwarning = _warning_line
    if {"-h", "--help"} & set(sys.argv[1:]):
        words = as_started(sys.modules["__main__"].__doc__ or "")
        print(words, flags.FLAGS.main_module_help(), sep="\n")
        sys.exit(0)
    keep_programs()
    atexit.register(gc.freeze)  # else all that JAX made is looked through for cycles
    # By an exception, so that unfinished folders and processes are cleaned away.
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):  # Windows has no SIGHUP
        signal.signal(getattr(signal, name), lambda number, _: _exit("interrupted", 128 + number))
    sys.argv[1:] = [_at_home(argument) for argument in sys.argv[1:]]
    try:
        if saved_config is not None:
            sys.argv[1:] = _with_config_file(sys.argv[1:], saved_config)
        _parse_flags(required)
    except Exception as error:
        _exit(f"error: {_flag_mistake(error)}; see --help", 2)
    try:
        main()
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except Mistake as error:
        _exit(f"error: {error.told(as_typed)}", 2)
    except RunEnded as error:
        _exit(f"error: {error}", 1)
    sys.exit(0)


def _warning_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """A warning as it is shown: one line, with its place in the code only if it is not our own."""
    del line
    inside = Path(__file__).resolve().parent in Path(filename).parents
    ours = inside and category in (UserWarning, Doubt)
    where = "" if ours else f"{filename}, line {lineno}: {category.__name__}: "
    text = message.told(as_typed) if isinstance(message, Doubt) else str(message)
    return f"warning: {where}{' '.join(text.split())}\n"


def _exit(message: str, status: int) -> NoReturn:
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def _at_home(argument: str) -> str:
    """An argument whose value begins with ~, which shells leave as it is in `--path=~/photos`."""
    flag, equals, value = argument.partition("=") if argument[:1] == "-" else ("", "", argument)
    return flag + equals + os.path.expanduser(value)  # noqa: PTH111 (Path's fails without a user)


def _with_config_file(arguments: Sequence[str], reader: Path) -> list[str]:
    """The arguments with --config as `ml_collections` takes it; without, with that of the workdir.

    That is a file of configs/ for its name, and for a config.json the `reader` and, behind a colon,
    what its `get_config` is given.

    Raises:
        Mistake: a config that is neither a name nor there.
    """
    text = "".join(f"\0{argument}" for argument in arguments)
    text = re.sub(r"\0--?(config|workdir)[=\0]", r"\0--\1=", text)  # of `--config FILE`, too
    given = dict(re.findall(r"\0--(config|workdir)=([^\0]*)", text))
    own = Path(given.get("workdir", "")) / "config.json"
    if given.get("workdir") and "config" not in given and own.is_file():
        text = f"\0--config={own}{text}"  # before what overrides it
    value = r"(?<=\0--config=)[^\0]+"
    return re.sub(value, lambda config: _config_file(config[0], reader), text).split("\0")[1:]


def _config_file(config: str, reader: Path) -> str:
    if config in configs() and not Path(config).is_file():  # a folder `photos` hides no config
        return str(configs()[config])
    if not (":" in config or Path(config).exists()):
        known = ", ".join(configs())
        raise Mistake(f"config {config!r} is not there; expected a file, or one of {known}")
    return f"{reader}:{config}" if config.endswith(".json") else config


def _parse_flags(required: Sequence[str]) -> None:
    for name in required:
        if not any(re.match(rf"--?{name}(=|$)", argument) for argument in sys.argv):
            raise flags.Error(f"--{name} is missing; expected {flags.FLAGS[name].help}")
    arguments = flags.FLAGS(sys.argv)[1:]
    if arguments:
        raise flags.Error(f"argument {arguments[0]!r} is not a flag; expected --name=value")
    for name in required:
        value = flags.FLAGS[name].value
        hasattr(value, "items")  # raises the OSError of a config file that was not loaded
        if value in (None, ""):
            raise flags.Error(f"--{name} is empty; expected {flags.FLAGS[name].help}")


def _flag_mistake(error: Exception) -> str:
    """What was wrong with the flags or the config; ml_collections quotes tracebacks around it."""
    mistake = _innermost_mistake(error)
    if mistake is not None:
        return mistake.told(lambda name: f"--{name}" if name in flags.FLAGS else name)
    text = _innermost_text(error)
    first, last = text.partition("\n")[0], text.strip().rpartition("\n")[2].strip()
    where = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, flags.Error):
        return text if first == last else f"{first.partition(': ')[0]}: {last}"
    if isinstance(error, OSError | SyntaxError):
        return f"the config cannot be read: {last}"
    if where.filename.endswith(("config_dict.py", "config_path.py")):
        return f"unknown config key: {text}"
    return f"{type(error).__name__}: {text} ({where.filename}, line {where.lineno})"


def _innermost_mistake(error: BaseException | None) -> Mistake | None:
    """The mistake that a config file raised: ml_collections and absl each say it once more."""
    found = None
    while error is not None:
        found = error if isinstance(error, Mistake) else found
        error = error.__cause__ or error.__context__
    return found


def _innermost_text(error: BaseException) -> str:
    """The message, also of an error whose message is another error; a KeyError's unquoted."""
    message = error.args[0] if len(error.args) == 1 else str(error)
    return _innermost_text(message) if isinstance(message, BaseException) else str(message)


def as_typed(setting: str) -> str:
    """A setting as the flag of this command that gives it; else where the run has it, or as it is.

    Of a command that takes a run and no config, a setting of the config is one of the run's.
    """
    flag = setting.rpartition(".")[2]
    if flag in flags.FLAGS:
        return f"--{flag}"
    config = flags.FLAGS["config"].value if "config" in flags.FLAGS else None
    known = list(_dotted(config or {}))
    keys = [setting] if setting in known else [k for k in known if f".{k}".endswith(f".{setting}")]
    workdir = flags.FLAGS["workdir"].value if "workdir" in flags.FLAGS else None
    if workdir and "config" not in flags.FLAGS and "." in setting:
        return f"{setting} in {Path(workdir) / 'config.json'}"
    return " or ".join(f"--config.{key}" for key in keys) or setting


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of a config that hold a value, in full."""
    for key, value in tree.items():
        if hasattr(value, "items"):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
