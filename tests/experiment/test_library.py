"""The work of the commands called from Python: from a worker thread, a notebook, anywhere."""

import asyncio
import threading
from collections.abc import Callable

from neural_sdf.experiment.export import export_mesh
from neural_sdf.experiment.lock import claimed
from neural_sdf.experiment.train import train
from tests.experiment.tiny import synthetic


def in_thread(work: Callable[[], None]) -> None:
    """As a web page's or a window's worker does it."""
    failed = []

    def guarded():
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def in_notebook(work: Callable[[], None]) -> None:
    """As a cell does it, inside an event loop that runs."""

    async def cell():
        work()

    asyncio.run(cell())


def test_a_worker_thread_and_a_notebook_train(tmp_path, monkeypatch):
    """With a relative workdir, from the folder that they are in."""
    monkeypatch.chdir(tmp_path)
    for call in (in_thread, in_notebook):
        call(lambda name=call.__name__: train(synthetic(), name))
        assert (tmp_path / call.__name__ / "checkpoints" / "4").is_dir()


def test_a_thread_measures_and_exports_what_is_being_trained(short_run, tmp_path):
    def work():
        export_mesh(short_run, tmp_path / "mesh.ply", resolution=16)

    with claimed(short_run):
        in_thread(work)
        in_notebook(work)
    assert (tmp_path / "mesh.ply").stat().st_size > 1000
