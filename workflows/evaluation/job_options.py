"""The options of an experiment's scoring jobs: what each run, reference or method is scored on, and how. Imports no torch."""

from ipt_models.tasks import can_restore, parse_task
from workflows.command_line import words
from workflows.config.benchmark_sets import parse_set
from workflows.config.choices import reference_restores
from workflows.config.experiment import Experiment
from workflows.models import is_ipt


class JobOptions:
    """Command-line options of `python -m workflows.evaluation`, as lists of words.

    Attributes:
        experiment: the experiment.
        runs: its grid.
        methods: checkpoints and outputs of other programs, scored in addition to the grid, by name.
        protocol: the options that all jobs share.
        compared: the runs whose outputs the report compares: the largest fraction, the first seed.
    """

    def __init__(self, experiment: Experiment) -> None:
        scoring = experiment.evaluation
        self.experiment = experiment
        self.runs = experiment.runs()
        self.methods = {method.name: method for method in scoring.methods}
        self.protocol = [
            *("--gray", scoring.gray, "--bicubic", scoring.bicubic, "--noise", scoring.noise),
            *("--precision", scoring.precision, "--threads", scoring.threads, "--experiment", experiment.name),
        ]
        largest, first = max(experiment.fractions), experiment.seeds[0]
        self.compared = [name for name, run in self.runs.items() if (run.fraction, run.seed) == (largest, first)]

    def restores(self, name: str, task: str) -> bool:
        """Whether a run's network, a method or an untrained reference applies to a task."""
        if name in self.experiment.references:
            return reference_restores(name, parse_task(task), self.experiment.evaluation.noise)
        if name in self.methods:
            return self.methods[name].tasks is None or task in self.methods[name].tasks
        return can_restore(self.runs[name].tasks, parse_task(task))

    def scored_sets(self, name: str | None = None) -> tuple[list[str], list[str]]:
        """The tasks, and their sets, that a run's network, a method or a reference can restore; without a name, all."""
        tasks = [task for task in self.experiment.scored_tasks if name is None or self.restores(name, task)]
        kinds = {parse_task(task).kind for task in tasks}
        requested = (self.methods[name].sets if name in self.methods else None) or self.experiment.evaluation.sets
        sets = [request for request in requested if kinds & set(parse_set(request).kinds)]
        fitting = {kind for request in sets for kind in parse_set(request).kinds}
        return [task for task in tasks if parse_task(task).kind in fitting], sets

    def scope(self, name: str | None = None) -> list[str]:
        """The options for `scored_sets`."""
        tasks, sets = self.scored_sets(name)
        return ["--tasks", *tasks, "--sets", *sets]

    def windows(self, name: str) -> list[str]:
        """The option for IPT's windows in a run's main table."""
        side_by_side = self.experiment.evaluation.windows == "side-by-side" and is_ipt(self.runs[name].variant)
        return ["--windows", "side-by-side"] if side_by_side else []

    def saved_images(self, name: str) -> list[str]:
        """The options that save outputs: of the images that the report compares."""
        tasks, sets = self.scored_sets(name)
        scored = {(task, parse_set(request).label) for task in tasks for request in sets}
        pictures = self.experiment.report.comparisons
        images = sorted({picture.image for picture in pictures if (picture.task, picture.dataset) in scored})
        folder = self.experiment.folder / "runs" / name / "images"
        return ["--save-images", str(folder), *words("--images", *images)] if images else []

    def kept(self, name: str, table: str = "metrics") -> list[str]:
        """The options that keep the scores of each finished set; none for images that another program restored."""
        if name in self.methods and self.methods[name].checkpoint is None:
            return []
        return words("--keep", str(self.experiment.folder / "scored" / name / table))

    def ensemble(self, name: str, ensemble: str) -> list[str]:
        """The options of one of a run's ensembled tables, see `Experiment.ensembles`."""
        return ["--windows", "averaged"] if ensemble == "averaged" else ["--self-ensemble", *self.windows(name)]
