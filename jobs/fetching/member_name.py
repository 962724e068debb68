"""Whether a clip names a file that may be asked of a source: the name is from a csv, untrusted."""

from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.own_outcome import own_outcome
from shardwriter.object_names import name_parts


def member_name(clip: ClipRef, *, source: str) -> str | Outcome:
    """Return the name of a clip's file below a source's root.

    Args:
        clip: As the catalogue lists it.
        source: Where it is looked for, for the message.

    Returns:
        The name; or `MEMBER_MISSING`, if there is none or it would lead out of the source.
    """
    if clip.file is None:
        return own_outcome(Code.MEMBER_MISSING, text=f"{clip.id} has no file in {source}")
    try:
        name_parts(clip.file)
    except ValueError:
        return own_outcome(
            Code.MEMBER_MISSING,
            text=f"{clip.id}: {clip.file[:200]!r} is not the name of a file in {source}",
        )
    return clip.file
