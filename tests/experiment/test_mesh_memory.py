"""The memory of a mesh is told, or refused, before it is made."""

import re

import pytest

from neural_sdf.experiment import export
from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.export import export_mesh
from neural_sdf.mistake import Mistake


def test_a_mesh_that_the_memory_cannot_hold_is_refused_before_work(
    short_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(export, "host_memory", lambda: 300_000_000)
    words = r"resolution 1024 takes about .* expected at most the 0\.28 GiB .*; set resolution=\d+$"
    with pytest.raises(Mistake, match=words):
        export_mesh(short_run, tmp_path / "mesh.ply", resolution=1024)
    with pytest.raises(Mistake, match=words):
        evaluate(short_run, resolution=1024)
    assert "view" not in capsys.readouterr().out
    assert not (tmp_path / "mesh.ply").exists()


def test_what_a_mesh_takes_is_told_first(short_run, tmp_path, capsys):
    export_mesh(short_run, tmp_path / "mesh.ply", resolution=80)
    told, written = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"a mesh of resolution 80 takes about 0\.\d\d GiB of [\d,.]+ GiB", told)
    assert written.startswith(f"{tmp_path / 'mesh.ply'}: ")
