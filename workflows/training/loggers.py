"""Other places for the rows of train.csv: TensorBoard, Weights & Biases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from workflows.config.runs import Run


class LoggerError(RuntimeError):
    """A logger that cannot be used here; the message says what is missing."""


class Logger(Protocol):
    def log(self, row: dict[str, Any], step: int) -> None:
        """Take a row; empty cells are left out."""

    def close(self) -> None:
        """Write buffered rows."""


class TensorBoard:
    """Event files in `runs/<run>/tensorboard`, for `tensorboard --logdir results/<name>/runs`."""

    def __init__(self, run: Run, output: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(output / "tensorboard")

    def log(self, row: dict[str, Any], step: int) -> None:
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A run of Weights & Biases, which is resumed with the training. `WANDB_PROJECT`, `WANDB_MODE=offline` and its other
    variables work as usual; its files are in `runs/<run>/wandb`."""

    def __init__(self, run: Run, output: Path) -> None:
        try:
            import wandb  # ty: ignore[import-not-found]  (an extra)
        except ImportError:
            raise LoggerError(
                "training.loggers: wandb is not installed; `uv pip install -c requirements.lock 'wandb<0.24'`, or leave it out"
            ) from None
        output.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            dir=output,
            project=run.experiment,
            group=run.model,
            name=run.name,
            id=f"{run.experiment}-{run.name}-{run.digest}",
            resume="allow",
            config=run.model_dump(mode="json"),
        )

    def log(self, row: dict[str, Any], step: int) -> None:
        self._run.log(row, step)

    def close(self) -> None:
        self._run.finish()


LOGGERS = {"tensorboard": TensorBoard, "wandb": WandB}


class Loggers:
    """All loggers of a run; may be none."""

    def __init__(self, names: Sequence[str], run: Run, output: Path) -> None:
        self._loggers: list[Logger] = [LOGGERS[name](run, output) for name in names]

    def log(self, row: dict[str, Any], step: int) -> None:
        values = {name: value for name, value in row.items() if value is not None}
        for logger in self._loggers:
            logger.log(values, step)

    def close(self) -> None:
        for logger in self._loggers:
            logger.close()
