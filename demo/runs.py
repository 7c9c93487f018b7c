"""A stage of training: limited in time, saved every few minutes, resumed after an interruption, plotted as curves."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from engine.codec.layers import can_pack

SAVED_SECONDS = 60.0
WARM_UP = 60.0  # seconds, at most
WARM_UP_SHARE = 0.05  # of the time, at most
COOL_DOWN = 0.5  # of the time
PAUSE = 20.0  # seconds: a step that seems to take longer was stopped meanwhile


def fast(device: str = "cpu") -> torch.autocast:
    """A context in which matrix products are computed in bfloat16: half the time on CPUs that know it, and on GPUs."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or can_pack(torch.bfloat16))


def on_cpu(state: object) -> object:
    """A state with its tensors on the CPU, so that it can be read on machines without the device."""
    match state:
        case torch.Tensor():
            return state.cpu()
        case dict():
            return {name: on_cpu(value) for name, value in state.items()}
        case list():
            return [on_cpu(value) for value in state]
    return state


class Run:
    """Trains modules for a number of minutes. The state is `<name>.pt`; the curves `<name>.csv` and `<name>.png`."""

    def __init__(
        self,
        directory: Path,
        name: str,
        modules: dict[str, torch.nn.Module],
        minutes: float,
        learning_rate: float,
        device: str = "cpu",
    ) -> None:
        """Begin, or resume from the state in the directory. The modules are moved to the device."""
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / f"{name}.pt"
        self._csv = directory / f"{name}.csv"
        self._modules = {name: module.to(device) for name, module in modules.items()}
        if torch.device(device).type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32 outside of `fast`
        self._seconds = minutes * 60
        self._peak = learning_rate
        self._parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._parameters, learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.elapsed, self.step = 0.0, 0
        if self._file.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self._file, map_location="cpu", weights_only=True)
        for name, module in self._modules.items():
            if name in state:  # demo.begin has no state of what is not in a checkpoint
                module.load_state_dict(state[name])
        if "optimizer" in state:
            self._optimizer.load_state_dict(state["optimizer"])
            self.elapsed, self.step = state["elapsed"], state["step"]

    def save(self) -> None:
        """Write the state, atomically, and the curves."""
        state: dict[str, Any] = {name: module.state_dict() for name, module in self._modules.items()}
        state |= {"optimizer": self._optimizer.state_dict(), "elapsed": self.elapsed, "step": self.step}
        partial = self._file.with_suffix(".partial")
        torch.save(on_cpu(state), partial)
        partial.replace(self._file)
        self._draw()

    def train(self, losses: Callable[[], dict[str, torch.Tensor]], logged: int = 25) -> None:
        """Minimise the sum of what `losses` returns until the time is over.

        A step never waits for the device: losses are read when they are logged. A step whose gradients are not finite
        changes the weights as if its gradients were zero.
        """
        totals: dict[str, torch.Tensor] = {}
        saved = time.monotonic()
        for _ in self._clock():
            values = losses()
            loss = torch.stack(list(values.values())).sum()
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
            for group in self._optimizer.param_groups:
                group["lr"] = self._learning_rate()
            self._optimizer.step()
            self.step += 1
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value.detach() / logged
            if self.step % logged == 0:
                self._log({name: value.item() for name, value in totals.items()})
                totals = {}
            if time.monotonic() - saved > SAVED_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def _clock(self) -> Iterator[None]:
        """Yield once per step until the time is over, with a progress bar in minutes."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns) as bar:
            task = bar.add_task(self._file.stem, total=self._seconds, completed=int(self.elapsed), state="")
            before = time.monotonic()
            while self.elapsed < self._seconds:
                yield
                now = time.monotonic()
                self.elapsed += min(now - before, PAUSE)
                before = now
                bar.update(task, completed=self.elapsed, state=f"step {self.step}")

    def _learning_rate(self) -> float:
        """The learning rate: it rises at first, stays the same, and falls towards 0 in the second half of the time.

        So a run can be given more time or less: stop it, and start it again with other minutes.
        """
        left = max(0.0, 1 - self.elapsed / self._seconds)
        warm_up = min(WARM_UP, WARM_UP_SHARE * self._seconds)
        return self._peak * min(1.0, left / COOL_DOWN, 0.02 + self.elapsed / warm_up)

    def _log(self, values: dict[str, float]) -> None:
        new = not self._csv.exists()
        with self._csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, ["step", "seconds", *values])
            if new:
                writer.writeheader()
            writer.writerow({"step": self.step, "seconds": round(self.elapsed), **values})

    def _draw(self) -> None:
        if not self._csv.exists():
            return
        with self._csv.open(newline="") as file:
            rows = list(csv.DictReader(file))
        figure, axes = plt.subplots(figsize=(8, 5))
        for name in [name for name in rows[0] if name not in ("step", "seconds")]:
            axes.plot([int(row["step"]) for row in rows], [float(row[name]) for row in rows], label=name)
        axes.set(xlabel="step", ylabel="loss", yscale="log", title=self._file.stem)
        axes.legend()
        figure.savefig(self._csv.with_suffix(".png"))
        plt.close(figure)
