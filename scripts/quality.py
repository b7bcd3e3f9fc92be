"""Quality against seconds: a config and changes of it, trained and measured on photo sets.

    python scripts/quality.py --config=configs/photos.py --steps=4000 --seeds=3 \\
        --set=skull:path=my_skull,downscale=4 --set=cabinet:format=synthetic_cabinet \\
        --change=whole --change=no-patches:train.weights.alike=0 --output=quality

A run is train.py, then eval.py at each of `--points` checkpoints and export_mesh.py at the last,
one after the other, so that their seconds mean something. Runs that an earlier call ended are kept.
Writes quality.json, and from it quality.md (a table, means over seeds), quality.png (curves) and
normals.png (a held-out view of each). Needs matplotlib: pip install -e '.[docs]'.
"""

from __future__ import annotations

import io
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from absl import flags

from neural_sdf import launch
from neural_sdf.mistake import Mistake, RunEnded

if TYPE_CHECKING:
    from PIL.Image import Image

ROOT = Path(__file__).resolve().parents[1]
SETS = flags.DEFINE_multi_string(
    "set", [], "NAME:KEY=VALUE,… of the config's section data, and reference=MESH; repeat it"
)
CHANGES = flags.DEFINE_multi_string(
    "change", ["whole"], "NAME:KEY=VALUE,… of the config; repeat it"
)
CONFIG = flags.DEFINE_string("config", "configs/photos.py", "what is changed")
STEPS = flags.DEFINE_integer("steps", 4000, "of every run", lower_bound=1)
SEEDS = flags.DEFINE_integer("seeds", 3, "runs of each change on each set", lower_bound=1)
POINTS = flags.DEFINE_integer("points", 4, "checkpoints of a run that are measured", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", "", "the folder to write")

FIGURES = {  # of eval.py: in words, digits, and by what they are multiplied
    "psnr_masked": ("PSNR, dB", 2, 1),
    "ssim_masked": ("SSIM", 3, 1),
    "mask_iou": ("IoU", 4, 1),
    "chamfer_relative": ("Chamfer, %", 3, 100),
    "normal_consistency": ("normals", 4, 1),
    "points_median": ("points, %", 3, 100),
    "pieces": ("pieces", 1, 1),
    "seconds": ("seconds", 0, 1),
}
STRIP = "photo", "render", "error", "normals", "depth"  # that eval.py draws side by side
TALL = 200  # of a drawn view, pixels


class Setting(NamedTuple):
    """What a flag names.

    Attributes:
        name: of a set or a change.
        values: by their keys, as written.
    """

    name: str
    values: dict[str, str]


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait."""
    from neural_sdf.machine.files import replace_file, write_json

    output = Path(OUTPUT.value)
    sets, changes = ([setting(x) for x in flag.value] for flag in (SETS, CHANGES))
    if not sets:
        raise Mistake("no photo set is given; expected one or more; set <set>")
    results = []
    for photos, seed, change in itertools.product(sets, range(SEEDS.value), changes):
        results += run(output, photos, change, seed)
        write_json(output / "quality.json", {"runs": results})
        replace_file(output / "quality.md", table(results).encode())
    replace_file(output / "quality.png", curves(results))
    replace_file(output / "normals.png", pictures(output, sets, changes))
    print(f"{table(results)}\n{output / 'quality.json'}, and pictures beside it")


def setting(text: str) -> Setting:
    """What NAME:KEY=VALUE,KEY=VALUE says.

    Raises:
        Mistake: it says it otherwise.
    """
    name, _, pairs = text.partition(":")
    parts = [pair.partition("=") for pair in filter(None, pairs.split(","))]
    values = {key: value for key, _, value in parts}
    if not name.replace("-", "").replace("_", "").isalnum() or not all(values.values()):
        raise Mistake(f"{text!r} is no NAME:KEY=VALUE,KEY=VALUE; write <set> and <change> so")
    return Setting(name, values)


def run(output: Path, photos: Setting, change: Setting, seed: int) -> list[dict[str, Any]]:
    """Trains and measures once; gives what it found at each checkpoint, in the order of steps."""
    workdir = output / photos.name / f"{change.name}-{seed}"
    found, every = workdir / "quality.json", max(STEPS.value // POINTS.value, 1)
    if found.is_file():
        return json.loads(found.read_text())
    shutil.rmtree(workdir, ignore_errors=True)  # of a run that was cut off
    data = {k: v for k, v in photos.values.items() if k != "reference"}
    values = {f"data.{key}": value for key, value in data.items()} | change.values
    values |= {"seed": str(seed), "train.steps": str(STEPS.value)}
    values |= {"train.checkpoint_every": str(every), "train.log_every": str(min(every, 50))}
    given = [f"--config.{key}={value}" for key, value in values.items()]
    where = f"--workdir={workdir}"
    started = _seconds(workdir, ["train.py", f"--config={CONFIG.value}", where, *given])
    reference = [f"--reference={x}" for k, x in photos.values.items() if k == "reference"]
    results = []
    times = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for step in sorted(int(path.name) for path in (workdir / "checkpoints").glob("[0-9]*")):
        _seconds(workdir, ["eval.py", where, f"--step={step}", *reference])
        metrics = json.loads((workdir / "eval/metrics.json").read_text())
        told = {name: metrics[name] for name in FIGURES if name in metrics}
        at = next(line["time"] for line in times if line["step"] >= step)
        names = {"set": photos.name, "change": change.name, "seed": seed, "step": step}
        results.append({**names, "seconds": at - started, **told})
    results[-1]["pieces"] = _pieces(workdir)
    found.write_text(json.dumps(results))
    return results


def _seconds(workdir: Path, command: Sequence[str]) -> float:
    """Runs a command to its end, its words into a file; when it began, seconds since 1970.

    Raises:
        RunEnded: it failed.
    """
    began = time.time()
    workdir.mkdir(parents=True, exist_ok=True)
    print(shlex.join(["python", *command]), flush=True)
    with (workdir / "words.txt").open("a") as words:
        python = [sys.executable, str(ROOT / command[0]), *command[1:]]
        done = subprocess.run(python, stdout=words, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = (workdir / "words.txt").read_text().rstrip().rpartition("\n")[2]
        raise RunEnded(f"{command[0]} ended with status {done.returncode}: {last}")
    return began


def _pieces(workdir: Path) -> int:
    """Connected pieces of the mesh of the last checkpoint."""
    import trimesh

    mesh = workdir / "mesh.ply"
    _seconds(workdir, ["scripts/export_mesh.py", f"--workdir={workdir}", f"--output={mesh}"])
    return len(trimesh.load_mesh(mesh).split(only_watertight=False))


def _last(results: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The last checkpoints of each set and change, of all seeds."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (photos, change, _), group in itertools.groupby(results, _run):
        found.setdefault((photos, change), []).append(max(group, key=lambda x: x["step"]))
    return dict(sorted(found.items()))


def _run(result: dict[str, Any]) -> tuple[str, str, int]:
    return result["set"], result["change"], result["seed"]


def table(results: Sequence[dict[str, Any]]) -> str:
    """Means over seeds at the end of the runs, in Markdown; of two or more with their spread."""
    names = [name for name in FIGURES if any(name in result for result in results)]
    head = ["set", "change", "seeds", *(FIGURES[name][0] for name in names)]
    rows = [head, ["---"] * len(head)]
    for (photos, change), seeds in _last(results).items():
        cells = [_cell([x[name] for x in seeds if name in x], name) for name in names]
        rows.append([photos, change, str(len(seeds)), *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(values: Sequence[float], name: str) -> str:
    """The mean, and half of what they are apart."""
    if not values:
        return ""
    _, digits, factor = FIGURES[name]
    scaled = factor * np.array(values)
    spread = f" ± {np.ptp(scaled) / 2:.{digits}f}" if len(values) > 1 else ""
    return f"{scaled.mean():.{digits}f}{spread}"


def curves(results: Sequence[dict[str, Any]]) -> bytes:
    """PSNR and IoU of held-out views against seconds, a line for each change, as a PNG file."""
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports] (extra [docs])

    sets = sorted({result["set"] for result in results})
    canvas = Figure(figsize=(3.2 * len(sets) + 1, 5.2), layout="constrained")
    panels = canvas.subplots(2, len(sets), squeeze=False)
    for row, name in zip(panels, ("psnr_masked", "mask_iou"), strict=True):
        for axes, photos in zip(row, sets, strict=True):
            here = [result for result in results if result["set"] == photos]
            for change in dict.fromkeys(result["change"] for result in here):
                at = [x for x in here if x["change"] == change]
                steps = sorted({x["step"] for x in at})
                seconds, values = (
                    [np.mean([x[key] for x in at if x["step"] == step]) for step in steps]
                    for key in ("seconds", name)
                )
                axes.plot(seconds, values, "o-", label=change, markersize=3)
            axes.set(title=photos, xlabel="seconds", ylabel=FIGURES[name][0])
            axes.grid(alpha=0.3)
    canvas.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    content = io.BytesIO()
    canvas.savefig(content, format="png", dpi=110)
    return content.getvalue()


def pictures(output: Path, sets: Sequence[Setting], changes: Sequence[Setting]) -> bytes:
    """The first held-out view of each set: the photo, and the normals of each change's run."""
    from PIL import Image, ImageDraw

    rows = []
    for photos in sets:
        row = []
        for change in changes:
            folder = output / photos.name / f"{change.name}-0"
            view = json.loads((folder / "eval/metrics.json").read_text())["per_view"][0]["name"]
            strip = Image.open(folder / "eval" / f"{view}.png").convert("RGB")
            wanted = ("normals",) if row else ("photo", "normals")
            row += [_labelled(_part(strip, part), change.name, ImageDraw) for part in wanted]
        rows.append(row)
    width = max(sum(view.width for view in row) for row in rows)
    sheet = Image.new("RGB", (width, TALL * len(rows)), "white")
    for i, row in enumerate(rows):
        lefts = itertools.accumulate((view.width for view in row), initial=0)
        for view, left in zip(row, lefts, strict=False):
            sheet.paste(view, (left, TALL * i))
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _part(strip: Image, name: str) -> Image:
    """One of the pictures of a strip, as tall as they all are drawn."""
    width, i = strip.width // len(STRIP), STRIP.index(name)
    part = strip.crop((i * width, 0, (i + 1) * width, strip.height))
    return part.resize((part.width * TALL // part.height, TALL))


def _labelled(view: Image, name: str, draw: Any) -> Image:
    draw.Draw(view).text((4, 4), name, fill=(128, 128, 128))
    return view


if __name__ == "__main__":
    launch.run(main, required=["output"])
