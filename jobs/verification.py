"""How well scores tell same from different speakers: EER and minDCF.

Axes: N trials, P points of the curve, D embedding.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jobs.catalogues.trials import VerificationPairs, read_trials
from shardwriter.errors import ConfigError
from shardwriter.keys import to_key
from shardwriter.manifest import load_manifest
from shardwriter.storage import Store

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Figures of a list of trials."""

    name: str
    eer: float
    """Where as many of the same speaker are refused as of others accepted."""
    min_dcf_01: float
    """Least detection cost for P_target = 0.01 (SpeechBrain, WeSpeaker)."""
    min_dcf_05: float
    """For P_target = 0.05 (VoxSRC, voxceleb_trainer)."""
    num_trials: int


def error_rates(
    scores_N: Floats, is_same_N: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the shares refused wrongly and accepted wrongly, for every threshold there is.

    Point 0 refuses all, the last accepts all; trials of equal scores are accepted together.

    Raises:
        ValueError: only trials of one kind.
    """
    num_same = int(is_same_N.sum())
    num_other = len(is_same_N) - num_same
    if not num_same or not num_other:
        raise ValueError(f"{num_same} trials of the same speaker and {num_other} of others")
    order = np.argsort(-scores_N, kind="stable")
    is_last_of_tie = np.append(np.diff(scores_N[order]) != 0, True)
    hits = np.cumsum(is_same_N[order])[is_last_of_tie]
    accepted = np.flatnonzero(is_last_of_tie) + 1
    false_negative_P = 1 - np.concatenate(([0], hits)) / num_same
    false_positive_P = np.concatenate(([0], accepted - hits)) / num_other
    return false_negative_P, false_positive_P


def equal_error_rate(scores_N: Floats, is_same_N: npt.NDArray[np.bool_]) -> float:
    """Return where the curve of the two error rates, its points joined by lines, has them equal."""
    false_negative_P, false_positive_P = error_rates(scores_N, is_same_N)
    gap_P = false_negative_P - false_positive_P  # falls from 1 to -1
    after = int(np.argmax(gap_P <= 0))
    share = gap_P[after - 1] / (gap_P[after - 1] - gap_P[after])
    low, high = false_positive_P[after - 1], false_positive_P[after]
    return float(low + share * (high - low))


def min_detection_cost(
    scores_N: Floats,
    is_same_N: npt.NDArray[np.bool_],
    *,
    p_target: float,
    cost_miss: float = 1.0,
    cost_false_alarm: float = 1.0,
) -> float:
    """Return NIST's least detection cost over all thresholds, normalised by that of not looking."""
    false_negative_P, false_positive_P = error_rates(scores_N, is_same_N)
    miss, false_alarm = cost_miss * p_target, cost_false_alarm * (1 - p_target)
    cost_P = miss * false_negative_P + false_alarm * false_positive_P
    return float(cost_P.min() / min(miss, false_alarm))


def open_trials(name: str, store: Store) -> VerificationPairs:
    """Open a list of trials: one beside the dataset, by name, or a file of `LABEL PATH PATH` lines.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name)
    if path.is_file():
        dataset = load_manifest(store).settings.name
        return read_trials(path.read_bytes(), name=path.stem, dataset=dataset, where=name)
    listed = f"trials/{name}.parquet"
    if not store.exists(listed):
        raise ConfigError(f"--trials {name}: there is no such file, and no {listed} in {store.url}")
    return VerificationPairs.from_parquet(
        store.read(listed), name=name, where=f"{store.url}/{listed}"
    )


def verify_trials(pairs: VerificationPairs, embeddings: dict[str, Floats]) -> Verification:
    """Score a list of trials by the cosine of the clips' embeddings.

    Args:
        pairs: The trials, by ids of clips.
        embeddings: Of length 1, by key.

    Raises:
        ConfigError: no embedding of a clip in the list, or trials of one kind only.
    """
    ids = sorted({*pairs.first, *pairs.second})
    missing = [clip for clip in ids if to_key(clip) not in embeddings]
    if missing:
        raise ConfigError(
            f"trials {pairs.name}: {len(missing)} of {len(ids)} clips are not in the evaluated "
            f"split, the first is {missing[0]}; choose --eval-split, or other --trials"
        )
    place = {clip: number for number, clip in enumerate(ids)}
    embedding_ND = np.stack([embeddings[to_key(clip)] for clip in ids])
    first_N = np.array([place[clip] for clip in pairs.first])
    second_N = np.array([place[clip] for clip in pairs.second])
    scores_N = np.einsum("nd,nd->n", embedding_ND[first_N], embedding_ND[second_N])
    is_same_N = np.array(pairs.is_same)
    try:
        return Verification(
            name=pairs.name,
            eer=equal_error_rate(scores_N, is_same_N),
            min_dcf_01=min_detection_cost(scores_N, is_same_N, p_target=0.01),
            min_dcf_05=min_detection_cost(scores_N, is_same_N, p_target=0.05),
            num_trials=len(is_same_N),
        )
    except ValueError as err:
        raise ConfigError(f"trials {pairs.name}: {err}; both are needed") from err
