"""Measures what the project claims of its own speed and memory, on the machine it runs on.

    python scripts/benchmark [--json=benchmark.json] [--workdir=runs/mine] [--only=step,cost]

Everything is measured in one process. What is compared runs alternately, one call of each a round,
and a ratio is taken within a round, so that other work on the machine does not favour one side:
medians over the rounds, with the least and the greatest.

Figures of training are those of the run in --workdir, from its last checkpoint on, with batches of
2048 rays; without it configs/quickstart.py is first trained in a temporary folder. --only chooses
what is measured, of step, comparing, cost, hits, products, throughput, peak, gradient,
memory_against_steps, march, modes (depth_map and parameters) and complementarity.

step: one training step as it is (`whole`); the same with the hits given to it, which is the floor
(`hits_given`); and with other searches for the same hits: without known distances (`halving`); a
plain batched march, steps of f and least steps on all rays until the slowest has ended, then
refinement of all (`plain`); and IDR's dense search of 10 steps, 100 samples and 8 secant steps on
all rays (`idr`). Ratios are to `hits_given`; that of `whole` is step_over_hits_given, and
step_over_plain is `plain` over `whole`.

comparing: the step, at the run's own batch size, without and with the photos compared where its
rays hit (the loss `alike`), at `alone` and `with`; comparing_over_alone is their ratio.

cost: evaluations of the network a ray while searching, by the tracer's own certificate: those of
rays under way (`useful`) and those paid for, on idle places of a batch too (`paid`), with and
without known distances, and what keeping those up to date costs a step (`refresh`).

hits: what is found with the settings of a step, and with those of an image, against 2000 samples a
ray and bisection in double precision: rays whose hit is another; those of them that neither all but
touch (least |f| < 1e-3) nor graze (|cosine| < 0.05); and the depth's error among the rest.

products: the whole step against its own matrix products alone, taken from the compiled step and run
bare, with as many rows in the march as were paid for; and what both achieve, GFLOP/s.

throughput: rays a second of tracing alone, by batch, and pixels a second of a whole image.

peak: memory of the step as it is predicted before a run, and as the system measures it after one.

gradient_time, gradient_memory: the gradient of a scalar loss of traced depths with respect to all
parameters, by the implicit function theorem (`tracing.trace`) and by automatic differentiation
through every step of sphere tracing, plain and rematerialised (`jax.checkpoint`). The field is a
fresh MLP of 4 layers of 128, which is a sphere. A beam of 2048 parallel rays covers it and a rim
around it; the loss is the mean depth over the inner rays, which all forms bring to the surface, so
that all compute the same derivative (gradient_difference). Every form evaluates the field about 32
times on all rays while marching: the rays that graze the rim keep the implicit form's loop going to
its limit, which is checked, and the whole batch is kept together (`smallest_batch`), as the others
must. The implicit form's evaluations include its refinement, and it also takes normals, which the
others do not.

gradient_time_N, gradient_memory_N: the same for N march steps instead of 32. The implicit form's
loop ends when every ray has ended, so that a greater limit than that costs it nothing.

memory_against_steps: the implicit form's memory for limits of 16, 64 and 256 march steps.

march: tracing the beam with the whole batch kept together, and with unfinished rays going on alone
in ever smaller batches, to the same values.

depth_map: the Jacobian of 1024 depths by the 6 numbers of a camera's motion, in forward mode (6
tangents at once), in reverse mode (1024 cotangents at once), and by the rule written out by hand;
parameters: the gradient of one number by all parameters of the field, in reverse mode, and one
tangent in forward mode, of which it would take as many as there are parameters.

complementarity: 256 problems with 8 unknowns each, with P-matrices, by `implicit.lcp` in one call
(double precision) and by a loop over a plain NumPy Lemke, which must agree; five calls in a row.

Memory is that of temporary buffers in the compiled program's own analysis: exact, without spread.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from absl import flags

from neural_sdf import launch
from neural_sdf.mistake import Mistake

JSON = flags.DEFINE_string("json", "", "file to write the table to, as JSON")
WORKDIR = flags.DEFINE_string("workdir", "", "run of train.py to measure on")
ONLY = flags.DEFINE_list("only", [], "what to measure; all if empty")


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait."""
    import comparing
    import derivative
    import hits
    import measure
    import memory
    import next_step
    import problems
    import products
    import step
    import throughput

    from neural_sdf.fields import mlp
    from neural_sdf.machine.files import write_json

    launch.check_backend()
    run = functools.cache(lambda: next_step.of_workdir(WORKDIR.value))
    beam = functools.cache(lambda: derivative.beam_on_a_sphere(mlp(width=128, depth=4)))
    subjects = {
        "step": lambda: step.step_times(step.searching_steps(run())),
        "comparing": lambda: comparing.comparing_times(run()),
        "cost": lambda: step.evaluations(run()),
        "hits": lambda: hits.hit_differences(run()),
        "products": lambda: products.bare_products(run()),
        "throughput": lambda: throughput.throughput(run()),
        "peak": lambda: memory.peak_memory(run().trained.config),
        "gradient": lambda: derivative.gradients(beam()),
        "memory_against_steps": lambda: derivative.memory_against_steps(beam()),
        "march": lambda: derivative.marching(beam()),
        "modes": lambda: derivative.modes(beam()),
        "complementarity": problems.complementarity,
    }
    unknown = sorted(set(ONLY.value) - set(subjects))
    if unknown:
        known = sorted(subjects)
        raise Mistake(f"only {unknown[0]!r} is unknown; expected some of {known}", setting="only")
    machine = measure.machine()
    print("  ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    rows = []
    for name in ONLY.value or subjects:
        rows += subjects[name]()
        print(f"measured {name}", file=sys.stderr, flush=True)
    print(measure.table(rows))
    if JSON.value:
        records = {row.key: measure.as_record(row) for row in rows}
        write_json(Path(JSON.value), {"machine": machine} | records)


if __name__ == "__main__":
    launch.run(main)
