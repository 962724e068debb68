"""What `melstream train` was asked for: where the data lies, what is held out, what to do."""

from dataclasses import dataclass, field
from pathlib import Path

from jobs.bank_options import BankOptions
from jobs.loading_options import LoadingOptions
from jobs.recipe import Recipe
from shardwriter.errors import ConfigError
from shardwriter.storage import S3Options


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Where the data lies, and what is not part of the recipe.

    Raises:
        ConfigError: what is held out is also trained on, or nothing is held out.
    """

    url: str
    splits: tuple[str, ...] = ("train",)
    """To train on; several are read as one."""
    folds: tuple[int, ...] | None = None
    """Of `splits`, to train on; None takes all."""
    eval_split: str | None = None
    """Held out; None means folds of the one split that is trained on."""
    eval_folds: tuple[int, ...] | None = None
    trials: str | None = None
    """List of speaker pairs: its name beside the dataset, or a file."""
    out: Path = Path("out/train")
    seed: int = 0
    resume: bool = False
    """Go on from the checkpoint in `out`, which must be there."""
    resume_if_there: bool = False
    """Go on from it if it is there."""
    tensorboard: bool = False
    report: bool = False
    s3: S3Options | None = None
    """How to reach `url`, if it is on S3."""
    loading: LoadingOptions = field(default_factory=LoadingOptions)
    recipe: Recipe = field(default_factory=Recipe)
    banks: BankOptions = field(default_factory=BankOptions)

    def __post_init__(self) -> None:
        if self.eval_split is None and len(self.splits) > 1:
            raise ConfigError(
                f"--train-split {','.join(self.splits)} are several: give --eval-split NAME"
            )
        if self.held_out_split not in self.splits:
            return
        if self.eval_folds is None:
            why = "" if self.eval_split is None else f" {self.eval_split} is also trained on;"
            raise ConfigError(
                f"nothing is held out:{why} give --eval-split NAME, or --folds and --eval-fold"
            )
        if self.folds is None:
            raise ConfigError("with --eval-fold, give the --folds to train on")
        both = sorted(set(self.folds) & set(self.eval_folds))
        if both:
            raise ConfigError(f"--eval-fold {both[0]} is also one of --folds")

    @property
    def checkpoint_path(self) -> Path:
        """Where the run's checkpoint lies."""
        return self.out / "checkpoint.pt"

    @property
    def resumes(self) -> bool:
        """Whether a checkpoint is loaded."""
        return self.resume or (self.resume_if_there and self.checkpoint_path.exists())

    @property
    def held_out_split(self) -> str:
        """The split that the held-out clips are of."""
        return self.eval_split or self.splits[0]

    @property
    def selection(self) -> str:
        """What is trained on, in words."""
        return _in_words(self.splits, self.folds)

    @property
    def held_out(self) -> str:
        """What is held out, in words."""
        return _in_words((self.held_out_split,), self.eval_folds)


def _in_words(splits: tuple[str, ...], folds: tuple[int, ...] | None) -> str:
    if folds is None:
        return f"split{'s' if len(splits) > 1 else ''} {', '.join(splits)}"
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
