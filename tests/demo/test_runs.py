"""A stage of training can be stopped at any time and goes on where it was."""

import csv
from pathlib import Path

import torch

from demo.runs import Run


def train(directory: Path, minutes: float) -> tuple[Run, torch.nn.Linear]:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    run = Run(directory, "stage", {"model": model}, minutes, 1e-2)
    inputs = torch.randn(64, 4)
    run.train(lambda: {"error": (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()})
    return run, model


def test_a_stage_goes_on_from_its_saved_state(tmp_path: Path) -> None:
    first, model = train(tmp_path, 0.02)
    assert first.step > 50
    assert first.elapsed >= 1.2
    again, same = train(tmp_path, 0.02)  # its time is over
    assert again.step == first.step
    assert torch.equal(same.weight, model.weight)
    longer, _ = train(tmp_path, 0.04)
    assert longer.step > first.step
    with (tmp_path / "stage.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(25, longer.step + 1, 25))
    assert float(rows[-1]["error"]) < float(rows[0]["error"])
    assert (tmp_path / "stage.png").stat().st_size > 1000
