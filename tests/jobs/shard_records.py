"""What an ingest wrote, read back."""

from pathlib import Path

from shardwriter.keys import from_key
from shardwriter.schema import SampleRecord
from shardwriter.storage import LocalStore
from shardwriter.untar import TarReader


def records_of(out: Path) -> list[SampleRecord]:
    """The JSON members of all shards, in order of keys."""
    store = LocalStore(out)
    found = []
    for name in sorted(name for name in store.names("") if name.endswith(".tar")):
        with (out / name).open("rb") as file:
            reader = TarReader(file, num_bytes=store.size(name), where=name)
            found += [
                SampleRecord.from_json_bytes(reader.data(), where=member.name)
                for member in reader
                if member.name.endswith(".json")
            ]
    assert all(from_key(record.key) == record.id for record in found)
    return found
