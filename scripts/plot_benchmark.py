"""Draws what the implicit gradient saves over unrolling, from the benchmark's figures.

    python scripts/benchmark --json=benchmark.json
    python scripts/plot_benchmark.py --json=benchmark.json --output=docs/unrolling.png

Needs matplotlib: pip install -e '.[docs]'.
"""

import io
import json
from pathlib import Path
from typing import Any

from absl import flags

from neural_sdf import launch
from neural_sdf.mistake import Mistake, file_mistakes

JSON = flags.DEFINE_string("json", "", "the file that scripts/benchmark wrote")
OUTPUT = flags.DEFINE_string("output", "", "the PNG file to write")

FORMS = {
    "implicit": ("implicit function theorem", "o-"),
    "unrolled": ("unrolled", "s--"),
    "unrolled_remat": ("unrolled, rematerialised", "^:"),
}
PANELS = {"gradient_time": "time of a gradient, ms", "gradient_memory": "its memory, MiB"}


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait."""
    from neural_sdf.machine.files import replace_file

    with file_mistakes("json"):
        figures = json.loads(Path(JSON.value).read_text())
    replace_file(Path(OUTPUT.value), picture(figures))
    print(OUTPUT.value)


def picture(figures: dict[str, Any]) -> bytes:
    """Time and memory against march steps, as a PNG file.

    Raises:
        Mistake: the figures lack them.
    """
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports] (extra [docs])

    canvas = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (figure, label) in zip(canvas.subplots(1, 2), PANELS.items(), strict=True):
        for form, (name, style) in FORMS.items():
            steps, rows = series(figures, figure, form)
            low, middle, high = ([row[k] for row in rows] for k in ("least", "median", "greatest"))
            axes.plot(steps, middle, style, label=name)
            axes.fill_between(steps, low, high, alpha=0.2)
        axes.set(xscale="log", yscale="log", xlabel="march steps", ylabel=label)
        axes.set_xticks(steps, [str(n) for n in steps], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    canvas.axes[0].legend()
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def series(figures: dict[str, Any], figure: str, form: str) -> tuple[list[int], list[dict]]:
    """Numbers of march steps, and the row of each."""
    start, end = f"{figure}_", f".{form}"
    found = {
        int(key.removeprefix(start).removesuffix(end)): row
        for key, row in figures.items()
        if key.startswith(start) and key.endswith(end)
    }
    if not found:
        raise Mistake(
            f"{JSON.value} has no {figure}_N.{form}; expected what scripts/benchmark writes",
            remedy="run it anew",
        )
    steps = sorted(found)
    return steps, [found[n] for n in steps]


if __name__ == "__main__":
    launch.run(main, required=["json", "output"])
