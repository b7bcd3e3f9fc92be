"""Renders by tracing light through several bounces: the Cornell box, or a trained field.

    python scripts/render.py --scene=cornell --output=cornell.png
    python scripts/render.py --workdir=runs/quickstart --output=relit.png --size=128 \\
        --samples=16 --bounces=2

Minutes on two CPU cores; a network costs far more than boxes. The noise falls with the square root
of --samples.

The PNG holds sRGB values: linear light through the curve of IEC 61966-2-1, clipped at white.
"""

import functools

from absl import flags

from neural_sdf import launch
from neural_sdf.mistake import Mistake

SCENE = flags.DEFINE_enum("scene", None, ["cornell"], "a scene that is known exactly")
WORKDIR = flags.DEFINE_string("workdir", None, "the folder of the trained run")
OUTPUT = flags.DEFINE_string("output", "", "the PNG file to write")
SIZE = flags.DEFINE_integer("size", 256, "longer side of the picture in pixels", lower_bound=1)
SAMPLES = flags.DEFINE_integer("samples", 256, "paths a pixel", lower_bound=1)
BOUNCES = flags.DEFINE_integer("bounces", 6, "reflections of each path at most", lower_bound=0)
RADIANCE = flags.DEFINE_enum(
    "radiance",
    "albedo",
    ["albedo", "emission"],
    "what the trained radiance is: paint under a new light, or light of its own",
)
VIEW = flags.DEFINE_string(
    "view",
    None,
    "whose photo's camera sees the field, by name or position; by default the first held-out one",
)
STEP = flags.DEFINE_integer("step", None, "the checkpoint's step; the latest if absent")
PATH = flags.DEFINE_string(
    "path", None, "a folder of photos of the same world, whose cameras see it instead of the run's"
)


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for JAX."""
    if (SCENE.value is None) == (WORKDIR.value is None):
        given = "neither" if SCENE.value is None else "both"
        raise Mistake(f"{given} of --scene and --workdir given; expected one; see --help")

    from neural_sdf.experiment import relight

    render = relight.render_cornell
    if WORKDIR.value is not None:
        shown = {"radiance": RADIANCE.value, "view": VIEW.value}
        source = {"step": STEP.value, "path": PATH.value}
        render = functools.partial(relight.render_trained, WORKDIR.value, **shown, **source)
    render(OUTPUT.value, size=SIZE.value, num_samples=SAMPLES.value, num_bounces=BOUNCES.value)


if __name__ == "__main__":
    launch.run(main, required=["output"])
