import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neural_sdf import launch
from neural_sdf.commands import COMMANDS
from tests.forked import STARTING, forks

ROOT = Path(__file__).parents[1]
FLAG = "--xla_cpu_experimental_ynn_fusion_type"
JAXLIB = importlib.metadata.version("jaxlib")

# A script as ours are, whose work is a piece of Python given on the command line.
SCRIPT = '''"""The script's own words."""
import sys
from absl import flags
from ml_collections import config_flags
from neural_sdf import launch

CONFIG = config_flags.DEFINE_config_file("config", None, "a config file")
DO = flags.DEFINE_string("do", None, "Python to run")
STEP = flags.DEFINE_integer("step", None, "a step")

def main():
    assert "jax" not in sys.modules
    exec(compile(DO.value, __file__, "exec"), globals())

if __name__ == "__main__":
    launch.run(main, required=["config"])
'''
CONFIG = """from ml_collections import config_dict

def get_config():
    return config_dict.create(
        seed=0, train=dict(steps=10, width=1, field=dict(depth=1)), field=dict(width=1, depth=1)
    )
"""


def python(*arguments: str | Path, cwd: Path = ROOT, **environment: str):
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def forked(tmp_path_factory) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Without JAX, as a command starts."""
    with forks(tmp_path_factory.mktemp("forked"), *STARTING) as run:
        yield run


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "config.py").write_text(CONFIG)
    (folder / "value.py").write_text('raise ValueError("a bad value")\n')
    (folder / "missing_module.py").write_text("import no_such_module\n")
    (folder / "syntax.py").write_text("def get_config(:\n")
    (folder / "division.py").write_text("def get_config():\n    return 1 / 0\n")
    (folder / "file.py").write_text('open("no_such_file")\n')
    (folder / "nothing.py").write_text("")
    (folder / "no_return.py").write_text("def get_config():\n    pass\n")
    return folder


def assert_one_line_error(result, status: int, *words: str):
    assert result.returncode == status, result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if "WARNING" not in line]) == 1
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--config is missing", "a config file"]),
        (["--config.seed=1"], ["--config is missing"]),
        (["--config"], ["Missing value", "--config"]),
        (["--config="], ["config", "empty"]),
        (["--config=no_such.py"], ["no_such.py", "No such file"]),
        (["--config=no_such.py", "--config.seed=1"], ["no_such.py", "No such file"]),
        (["--config=."], ["directory"]),
        (["--config=config.py", "--stp=1"], ["stp", "Did you mean", "step"]),
        (["--config=config.py", "--step=one"], ["--step=one"]),
        (["--config=config.py", "extra"], ["'extra'"]),
        (["--config=config.py", "--config.sead=1"], ["'sead'", "seed"]),
        (["--config=config.py", "--config.train.stps=1"], ["'stps'", '"steps"']),
        (["--config=config.py", "--config.unheard.of=1"], ["unknown config key", "unheard"]),
        (["--config=config.py", "--config.train.steps=ten"], ["--config.train.steps=ten"]),
        (["--config=config.py", "--config.train=1"], ["--config.train=1"]),
        (["--config=value.py"], ["value.py", "a bad value"]),
        (["--config=missing_module.py"], ["no_such_module", "missing_module.py, line 1"]),
        (["--config=syntax.py"], ["syntax.py, line 1"]),
        (["--config=division.py"], ["division.py, line 2", "division by zero"]),
        (["--config=file.py"], ["no_such_file"]),
        (["--config=nothing.py"], ["get_config"]),
        (["--config=no_return.py"], ["--config is empty"]),
    ],
)
def test_mistaken_command_line_is_one_line_and_status_2(forked, folder, arguments, words):
    assert_one_line_error(forked("script.py", *arguments, cwd=folder), 2, *words)


@pytest.mark.parametrize(
    ("work", "status", "words"),
    [
        ("raise Mistake('given, expected,\\n mend')", 2, ["given, expected, mend"]),
        ("raise type('Narrower', (Mistake,), {})('mine')", 2, ["mine"]),
        ("with file_mistakes(): open('no_such_file')", 2, ["no_such_file: No such file"]),
        ("with file_mistakes('step'): open('/')", 2, ["/: Is a directory; set --step"]),
        ("try: int('x')\nexcept ValueError as e: raise Mistake('wrapped') from e", 2, []),
        ("raise RunEnded('step 3: eikonal')", 1, ["step 3: eikonal"]),
    ],
)
def test_error_that_we_raise_is_one_line(forked, folder, work, status, words):
    do = f"from neural_sdf.mistake import *\n{work}"
    result = forked("script.py", "--config=config.py", f"--do={do}", cwd=folder)
    assert_one_line_error(result, status, *words)


@pytest.mark.parametrize(
    "work",
    [
        "int('x')",
        "raise ValueError('of whom?')",
        "raise RuntimeError('of whom?')",
        "open('no_such_file')",
        "len(3)",
        "launch.run.nothing",
        "raise KeyError('k')",
        "import numpy; numpy.load('no_such_file')",
        "import json; json.loads('{')",
        "import jax.numpy as jnp; jnp.ones(3) + jnp.ones(4)",
    ],
)
def test_error_that_we_did_not_mean_keeps_its_traceback(forked, folder, work):
    result = forked("script.py", "--config=config.py", f"--do={work}", cwd=folder)
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("'step'", "--step"),
        ("'steps'", "--config.train.steps"),
        ("'train.steps'", "--config.train.steps"),
        ("'steps=5'", "--config.train.steps=5"),
        ("'data.step'", "--step"),
        ("'teps'", "teps"),
        ("'train'", "train"),
        ("('seed', 'elsewhere')", "--config.seed or elsewhere"),
        ("'width'", "--config.field.width or --config.train.width"),
        ("'field.depth'", "--config.field.depth"),
        ("'train.field.depth'", "--config.train.field.depth"),
    ],
)
def test_setting_of_a_mistake_is_shown_as_the_command_takes_it(forked, folder, setting, shown):
    do = f"from neural_sdf.mistake import *; raise Mistake('given', setting={setting}, remedy='go')"
    result = forked("script.py", "--config=config.py", f"--do={do}", cwd=folder)
    assert_one_line_error(result, 2, f"error: given; set {shown}; go")


def test_section_of_a_config_tells_two_settings_of_one_name_apart(forked, folder):
    do = "from neural_sdf.mistake import *\nwith within('train'): "
    do += "raise Mistake('x', setting='width')"
    result = forked("script.py", "--config=config.py", f"--do={do}", cwd=folder)
    assert_one_line_error(result, 2, "error: x; set --config.train.width")


@pytest.mark.parametrize(
    ("work", "status", "shown"),
    [
        ("pass", 0, ""),
        ("raise SystemExit(7)", 7, ""),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("import os; os.kill(os.getpid(), 15)", 143, "interrupted\n"),
    ],
)
def test_exit_status_says_how_the_run_ended(forked, folder, work, status, shown):
    result = forked("script.py", "--config=config.py", f"--do={work}", cwd=folder)
    assert (result.returncode, result.stderr) == (status, shown)


def test_memory_is_left_to_the_system_at_the_end(forked, folder):
    do = "class Cycle:\n    def __init__(self):\n        self.own = self\n"
    do += "    def __del__(self):\n        print('collected')\n"
    result = forked("script.py", "--config=config.py", f"--do={do}Cycle()", cwd=folder)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--workdir=~/runs/a"], ["--workdir=HOME/runs/a"]),
        (["--config.data.path=~"], ["--config.data.path=HOME"]),
        (["-output", "~/a.glb"], ["-output", "HOME/a.glb"]),
        (["--path=a~/~", "--x=y=~/z"], ["--path=a~/~", "--x=y=~/z"]),
        (["--path=~nobody_at_all/a"], ["--path=~nobody_at_all/a"]),
    ],
)
def test_a_value_that_begins_with_a_tilde_is_in_the_home_folder(forked, tmp_path, given, expected):
    script = "import sys\nfrom neural_sdf import launch\nlaunch._parse_flags = lambda _: None\n"
    (tmp_path / "show.py").write_text(script + "launch.run(lambda: print(sys.argv[1:]))\n")
    result = forked("show.py", *given, cwd=tmp_path, HOME="HOME")
    assert result.stdout == f"{expected}\n"


@pytest.fixture
def runs(tmp_path) -> Path:
    """A folder with a run, and a script that reads a run's config by a config file of its own."""
    (tmp_path / "script.py").write_text(
        SCRIPT.replace('["config"])', '["config"], saved_config=Path("saved.py"))')
        .replace("import sys\n", "import sys\nfrom pathlib import Path\n")
        .replace('"do",', '"workdir", "", "a run")\nDO = flags.DEFINE_string("do",')
    )
    (tmp_path / "saved.py").write_text(
        "import json\nfrom ml_collections import ConfigDict\n"
        "def get_config(path):\n    return ConfigDict(json.load(open(path)))\n"
    )
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "a run").mkdir()
    (tmp_path / "a run/config.json").write_text('{"seed": 7, "train": {"steps": 70}}')
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["--config=a run/config.json"], "7 70"),
        (["--config", "a run/config.json", "--config.train.steps=5"], "7 5"),
        (["--workdir=a run"], "7 70"),
        (["--workdir", "a run", "--config.seed=3"], "3 70"),
        (["--config=config.py", "--workdir=a run"], "0 10"),
    ],
)
def test_config_that_a_run_has_written_is_a_config(forked, runs, arguments, values):
    do = "--do=print(CONFIG.value.seed, CONFIG.value.train.steps)"
    result = forked("script.py", *arguments, do, cwd=runs)
    assert (result.stdout, result.stderr) == (f"{values}\n", "")


@pytest.mark.parametrize("arguments", [["--workdir=no_run"], ["--workdir="], ["--workdir"], []])
def test_config_is_missing_where_no_run_has_one(forked, runs, arguments):
    result = forked("script.py", *arguments, cwd=runs)
    assert_one_line_error(result, 2, "--config is missing")


@pytest.mark.parametrize("script", ["train.py", "eval.py", "scripts/export_mesh.py"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_the_command_and_its_own_flags_without_jax(script, flag):
    result = python("-X", "importtime", script, flag)
    assert result.returncode == 0
    assert f"python {script} --" in result.stdout
    assert "--workdir" in result.stdout
    assert "--verbosity" not in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {"jax", "jaxlib", "numpy", "tensorflow_datasets"}


@pytest.mark.parametrize("script", ["train.py", "eval.py", "scripts/export_mesh.py"])
def test_script_without_its_flags_says_which_is_missing(forked, script):
    assert_one_line_error(forked(script), 2, "is missing")


@pytest.mark.parametrize("version", ["0.10.1", "0.10.2", "0.11.2", "0.12.0.1"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, f"{FLAG}=-reduce"),
        ("", f"{FLAG}=-reduce"),
        ("--xla_dump_to=x", f"--xla_dump_to=x {FLAG}=-reduce"),
        (f"{FLAG}=+reduce", f"{FLAG}=+reduce"),
        ("flags.txt", "flags.txt"),
    ],
)
def test_flag_is_added_once_and_never_over_the_users_own(monkeypatch, version, given, expected):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given)
    launch.correct_reductions()
    assert os.environ["XLA_FLAGS"] == expected
    launch.correct_reductions()
    assert os.environ["XLA_FLAGS"] == expected


@pytest.mark.parametrize("version", ["0.10.0", "0.12.1", "0.13.0"])
def test_flag_is_not_added_for_a_jaxlib_that_may_not_know_it(monkeypatch, version):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    launch.correct_reductions()
    assert "XLA_FLAGS" not in os.environ


CHECK = "from neural_sdf import launch; launch.check_backend()"


def test_backend_of_the_tests_passes_the_check_and_stays_32_bit():
    launch.check_backend()
    import jax

    assert not jax.config.read("jax_enable_x64")


def test_backend_passes_the_check_with_the_flag_alone():
    result = python("-c", CHECK, XLA_FLAGS=f"{FLAG}=-reduce", JAX_PLATFORMS="cpu")
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(JAXLIB != "0.10.2", reason=f"jaxlib {JAXLIB} has fewer faults than 0.10.2")
def test_both_faults_are_seen_without_the_flag():
    result = python("-c", CHECK, JAX_PLATFORMS="cpu")
    assert result.returncode == 1
    for words in ("RunEnded", "sums are wrong", "max drops NaN", f"add {FLAG}=-reduce"):
        assert words in result.stderr.splitlines()[-1]


def test_flag_set_too_late_is_caught_by_the_check():
    late = "import jax; jax.devices(); from neural_sdf import launch; launch.correct_reductions();"
    result = python("-c", f"{late} launch.check_backend()", JAX_PLATFORMS="cpu")
    assert "max drops NaN" in result.stderr.splitlines()[-1]


def test_a_warning_of_our_own_is_one_line_without_its_place_in_the_code(forked, folder):
    finding = "Finding('empty-masks', 'warning', 'masks are empty', 'set <field.width> anew')"
    do = f"from neural_sdf.photos.files.findings import *; settle({finding})"
    result = forked("script.py", "--config=config.py", f"--do={do}", cwd=folder)
    assert result.stderr == "warning: masks are empty; set --config.field.width anew\n"


def test_a_warning_of_others_says_where_it_is_from(forked, folder):
    do = "import warnings; warnings.warn('old', DeprecationWarning)"
    result = forked("script.py", "--config=config.py", f"--do={do}", cwd=folder)
    assert result.stderr.startswith("warning: ")
    assert "script.py, line 1: DeprecationWarning: old" in result.stderr


def test_a_reader_of_the_output_that_stops_early_is_no_error(folder):
    script = "import subprocess, sys; p = subprocess.Popen([sys.executable, *sys.argv[1:]], "
    script += "stdout=subprocess.PIPE, stderr=subprocess.PIPE); p.stdout.readline(); "
    script += "p.stdout.close(); print(p.stderr.read().decode()); sys.exit(p.wait())"
    do = (
        "print('first', flush=True)\nimport time; time.sleep(0.3)\nprint(9999 * 'more', flush=True)"
    )
    result = python("-c", script, "script.py", "--config=config.py", f"--do={do}", cwd=folder)
    assert (result.stdout.strip(), result.returncode) == ("", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["script.py", "--config=config.py", "--do=print('a line that waits for the end')"],
        ["script.py", "--help"],
        *([str(ROOT / file), "--help"] for file in COMMANDS.values()),
        ["-m", "neural_sdf", "--help"],
        ["-m", "neural_sdf", "train", "-h"],
    ],
    ids=" ".join,
)
def test_a_reader_of_the_output_that_is_gone_is_no_error(folder, arguments):
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=write,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        check=False,
    )
    os.close(write)
    assert (result.stderr, result.returncode) == (b"", 1)
