"""SUPERB's emotion recognition: IEMOCAP (Busso 2008), four emotions, five sessions as folds.

`exc` counts as `hap`, and all other emotions are left out. The test fold is one session and the
rest trains; both speakers of a session are in one fold.
"""

import re
from collections.abc import Iterator, Mapping

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, indented
from jobs.catalogues.tables import table_error
from jobs.sources import Source
from shardwriter.errors import ConfigError

SPLIT = "train"
"""There is no train/test split: it is one split with a `fold` column, the session."""
_LABELS = ("neu", "hap", "ang", "sad")
_MERGED = {"exc": "hap"}
_EVALUATION = re.compile(
    r"(?P<root>(?:.*/)?Session(?P<session>[1-5])/)dialog/EmoEvaluation/"
    r"(?P<dialog>Ses0(?P=session)[FM]_[A-Za-z0-9_]+)\.txt",
    re.ASCII,
)
_TURN = re.compile(
    r"\[(?P<start>\d+\.\d+) - (?P<stop>\d+\.\d+)\]\t(?P<name>\S+)\t(?P<emotion>[a-z]{3})\t"
    r"\[(?P<valence>[\d.]+), (?P<activation>[\d.]+), (?P<dominance>[\d.]+)\]\s*",
    re.ASCII,
)
_EXPECTED = ExpectedCounts(
    name="four emotions",
    num_by_split={SPLIT: 5531},
    num_by_fold={1: 1085, 2: 1023, 3: 1151, 4: 1031, 5: 1241},
    num_by_label={"neu": 1708, "hap": 1636, "ang": 1103, "sad": 1084},
)


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    files = frozenset(source.names())
    clips = [clip for name in source.names() for clip in _clips_of(name, source, files)]
    if not clips:
        unread = "".join(f"\n  not opened: {archive}" for archive in source.unread)
        raise ConfigError(
            f"{source.url} holds no dialog with one of the four emotions; expected{unread}\n"
            f"{indented(DATASET.layout)}"
        )
    return assemble(DATASET, mixed(clips), labels=_LABELS, expected=_EXPECTED, where=source.url)


def _clips_of(name: str, source: Source, files: frozenset[str]) -> Iterator[ClipRef]:
    """Yield the turns of a dialog, if the file is the evaluation of one."""
    dialog = _EVALUATION.fullmatch(name)  # copies made on a Mac hold `._*.txt` beside
    if dialog is None:
        return
    where = f"{source.url}/{name}"
    # Behind each turn stand the notes of everyone who judged it; names may not be ASCII there.
    lines = source.read(name).decode("utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.startswith("["):
            continue
        turn = _TURN.fullmatch(line)
        if turn is None or not re.fullmatch(
            rf"{re.escape(dialog['dialog'])}_[FM][A-Z0-9]+", turn["name"]
        ):
            raise table_error(
                where,
                f"{line[:100]!r} is not [START - STOP], turn, emotion, [V, A, D]",
                line=number,
            )
        emotion = turn["emotion"]
        if _MERGED.get(emotion, emotion) in _LABELS:
            yield _clip(dialog, turn, files)


def _clip(dialog: re.Match[str], turn: re.Match[str], files: frozenset[str]) -> ClipRef:
    session, name, emotion = dialog["session"], turn["name"], turn["emotion"]
    file = f"{dialog['root']}sentences/wav/{dialog['dialog']}/{name}.wav"
    # The letter of the dialog says who wore the sensors; the letter of the turn says who speaks.
    speaker = f"Ses0{session}{name.rpartition('_')[2][0]}"
    return ClipRef(
        id=f"{DATASET.name}/{name}",
        file=file if file in files else None,
        split=SPLIT,
        labels=(_MERGED.get(emotion, emotion),),
        fold=int(session),
        group=f"Session{session}",
        metadata={
            "speaker": speaker,
            "dialog": dialog["dialog"],
            "emotion": emotion,
            "valence": float(turn["valence"]),
            "activation": float(turn["activation"]),
            "dominance": float(turn["dominance"]),
        },
    )


DATASET = Dataset(
    name="superb_er",
    title="SUPERB emotion recognition (IEMOCAP)",
    summary="5,531 turns of 10 speakers, four emotions, five sessions as folds",
    num_classes=len(_LABELS),
    size="12 hours of speech",
    licence="by agreement with USC, no redistribution; voices are personal data",
    citation="C. Busso et al. IEMOCAP: Interactive emotional dyadic motion capture database. "
    "Language Resources and Evaluation 42, 2008; S. Yang et al. SUPERB: Speech processing "
    "Universal PERformance Benchmark. Interspeech 2021",
    homepage="https://sail.usc.edu/iemocap/",
    how_to_get="fill in the form at the homepage",
    layout="Session1/ ... Session5/ with\n"
    "  dialog/EmoEvaluation/{DIALOG}.txt\n"
    "  sentences/wav/{DIALOG}/{DIALOG}_{F or M}{NNN}.wav",
    read=_read,
    expected=(_EXPECTED,),
    targets={
        "speaker": "who speaks: session, and F or M",
        "emotion": "before exc was made hap",
        "valence": "1 to 5",
        "activation": "1 to 5",
        "dominance": "1 to 5",
    },
    faults=(
        "s3prl's `speaker` is who wore the sensors, not who speaks; here it is who speaks",
        "s3prl validates on a fifth of the training turns, drawn by torch in the order in which a "
        "file system lists files: it can't be drawn again elsewhere, so no such split is made here",
    ),
)
