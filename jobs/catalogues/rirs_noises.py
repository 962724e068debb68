"""RIRS_NOISES (Ko 2017, OpenSLR 28): room responses, simulated and real, and noises.

A split is a kind, so that a loader opens one of them. Real responses were recorded by several
microphones at once; their mean would be the response of no room, so a clip is one channel.
"""

import io
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

import soundfile

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, indented, optional_file
from jobs.catalogues.tables import table_error
from jobs.sources import Source
from shardwriter.errors import ConfigError

_RESPONSE, _NOISE = "room_response", "noise"
_SIMULATED = re.compile(
    r"(?:.*/)?simulated_rirs/(?P<size>small|medium|large)room/(?P<room>Room\d+)/"
    r"(?P<name>(?P=room)-\d+)\.wav",
    re.ASCII,
)
_REAL = re.compile(r"(?:.*/)?real_rirs_isotropic_noises/(?P<name>[A-Za-z0-9_.-]+)\.wav", re.ASCII)
_POINT = re.compile(r"(?:.*/)?pointsource_noises/(?P<name>[A-Za-z0-9_.-]+)\.wav", re.ASCII)
_REAL_LIST = "real_rirs_isotropic_noises/rir_list"
_SPLITS = {
    "responses": {
        "simulated_small": 20_000,
        "simulated_medium": 20_000,
        "simulated_large": 20_000,
        "real": 325,
    },
    "noises": {"point_noise": 843, "isotropic_noise": 92},
}
_SPLITS["all"] = _SPLITS["responses"] | _SPLITS["noises"]


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    chosen = _SPLITS[options["kind"]]
    rooms = dict(_real_rooms(source))
    found = [clip for name in source.names() if (clip := _clip(name, rooms)) is not None]
    clips = [clip for clip in found if clip.split in chosen]
    if not clips:
        unread = "".join(f"\n  not opened: {archive}" for archive in source.unread)
        raise ConfigError(
            f"{source.url} holds no {options['kind']} of RIRS_NOISES; expected{unread}\n"
            f"{indented(DATASET.layout)}"
        )
    is_every_channel = options["channels"] == "every"
    if is_every_channel:
        clips = [part for clip in clips for part in _every_channel(clip, source)]
    catalogue = assemble(
        DATASET,
        mixed(clips),
        labels=(_RESPONSE, _NOISE),
        expected=ExpectedCounts(name=options["kind"], num_by_split=chosen),
        where=source.url,
    )
    if rooms or not any(clip.split == "real" for clip in clips):
        return catalogue
    warning = f"{_REAL_LIST} is not in {source.url}: real responses get no room (as group)"
    return replace(catalogue, warnings=(warning,))


def _clip(file: str, rooms: Mapping[str, str]) -> ClipRef | None:
    """Return the clip of a file; None for what is none of the kinds."""
    simulated = _SIMULATED.fullmatch(file)
    if simulated is not None:
        # The three sizes use the same names.
        room = f"{simulated['size']}/{simulated['room']}"
        return ClipRef(
            id=f"{DATASET.name}/{simulated['size']}/{simulated['name']}",
            file=file,
            split=f"simulated_{simulated['size']}",
            labels=(_RESPONSE,),
            group=room,
            metadata={"room": room},
        )
    real, point = _REAL.fullmatch(file), _POINT.fullmatch(file)
    if real is not None:
        name = real["name"]
        return _real_noise(name, file) if "_noise_" in name else _real_response(name, file, rooms)
    if point is not None:
        return _noise(f"point/{point['name']}", file, split="point_noise")
    return None


def _real_response(name: str, file: str, rooms: Mapping[str, str]) -> ClipRef:
    room = f"real/{rooms[name]}" if name in rooms else None
    return ClipRef(
        id=f"{DATASET.name}/real/{name}",
        file=file,
        split="real",
        labels=(_RESPONSE,),
        group=room,
        channel=0,
        metadata={"room": room, "channel": 0},
    )


def _real_noise(name: str, file: str) -> ClipRef:
    noise = _noise(f"isotropic/{name}", file, split="isotropic_noise")
    return replace(noise, channel=0, metadata={"channel": 0})


def _noise(name: str, file: str, *, split: str) -> ClipRef:
    return ClipRef(
        id=f"{DATASET.name}/{name}", file=file, split=split, labels=(_NOISE,), group=name
    )


def _every_channel(clip: ClipRef, source: Source) -> Iterator[ClipRef]:
    """Yield a clip for each channel of the file, if its kind has several."""
    if clip.channel is None or clip.file is None:
        yield clip
        return
    try:
        num_channels = soundfile.info(io.BytesIO(source.read(clip.file))).channels
    except soundfile.LibsndfileError as err:
        raise ConfigError(f"{source.url}/{clip.file}: {err}; get the archive again") from err
    for channel in range(num_channels):
        metadata = {**clip.metadata, "channel": channel}
        yield replace(clip, id=f"{clip.id}/{channel}", channel=channel, metadata=metadata)


def _real_rooms(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the room of each real response, by name of the file: `--room-id 001 ... path`."""
    found = optional_file(source, _REAL_LIST)
    if found is None:
        return
    data, where = found
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), start=1):
        try:
            words = shlex.split(line)
        except ValueError as err:
            raise table_error(where, f"{line[:100]!r}: {err}", line=number) from err
        if not words:
            continue
        options = dict(zip(words[:-1:2], words[1:-1:2], strict=False))
        name = words[-1].rpartition("/")[2]
        if "--room-id" not in options or not name.endswith(".wav"):
            raise table_error(where, f"{line[:100]!r} is not --room-id ROOM ... FILE", line=number)
        yield name.removesuffix(".wav"), options["--room-id"]


DATASET = Dataset(
    name="rirs_noises",
    title="RIRS_NOISES (OpenSLR 28)",
    summary="60,325 room responses, simulated and real, and 935 noises, to be applied to speech",
    num_classes=2,
    size="1.3 GB",
    licence="Apache 2.0",
    citation="T. Ko et al. A study on data augmentation of reverberant speech for robust speech "
    "recognition. ICASSP 2017",
    homepage="https://www.openslr.org/28/",
    how_to_get="download the zip; no registration",
    layout="RIRS_NOISES/simulated_rirs/{small,medium,large}room/Room{NNN}/Room{NNN}-{NNNNN}.wav\n"
    "RIRS_NOISES/real_rirs_isotropic_noises/*.wav and rir_list\n"
    "RIRS_NOISES/pointsource_noises/*.wav",
    read=_read,
    options=(
        Option(
            name="kind",
            help="responses: what speech is convolved with; noises: what is added to it; or both",
            choices=tuple(_SPLITS),
            default="responses",
        ),
        Option(
            name="channels",
            help="of recordings by several microphones: the first, or a clip for every one",
            choices=("first", "every"),
            default="first",
        ),
    ),
    expected=tuple(
        ExpectedCounts(name=name, num_by_split=splits) for name, splits in _SPLITS.items()
    ),
    targets={
        "room": "size and number of the room",
        "channel": "of real responses and isotropic noises, from 0",
    },
    faults=(
        "the splits are the kinds: simulated_small, _medium, _large, real, point_noise and "
        "isotropic_noise",
        "real responses and isotropic noises have up to 8 channels; there are more clips than are "
        "published with --channels every",
        "rooms of different size have files of the same name",
        "the 843 point noises are those of MUSAN's free-sound, too: don't count them twice",
    ),
)
