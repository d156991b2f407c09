"""A sound file to a hostile one: by what it is most of the time, by its bytes alone otherwise."""

import struct
from collections.abc import Callable
from random import Random

from archives import mutated_archive
from bytes_of import mutated_bytes
from hdf5_objects import mutated_hdf5
from programs import mutated_pickles
from seeds import Seed
from tensors import mutated_npy, mutated_safetensors
from values import mutated_document

_BYTES_ALONE = 0.2
_TAKEN = 3  # of so many the smallest, in which a mutation changes more
_MUTATIONS = (1, 1, 1, 2, 3)


def mutant(kinds: dict[str, list[Seed]], seed: int, number: int) -> Seed:
    """Return the file of a number: the same for the same seed, whoever asks.

    Args:
        kinds: the sound files by kind; each kind comes as often as any other.
        seed: where chance starts from.
        number: which file of the run.
    """
    random = Random(f"{seed}:{number}")
    names = list(kinds)
    some = random.choices(kinds[names[number % len(names)]], k=_TAKEN)
    chosen = min(some, key=lambda seed: sum(map(len, seed.files.values())))
    for _ in range(random.choice(_MUTATIONS)):
        name = random.choice(list(chosen.files))
        chosen = chosen.with_file(name, mutated(chosen.files[name], random))
    return chosen


def mutated(content: bytes, random: Random) -> bytes:
    """Return a file's bytes changed in one place.

    Args:
        content: the bytes.
        random: where chance comes from.
    """
    if random.random() < _BYTES_ALONE:
        return mutated_bytes(content, random)
    try:
        return _by_kind(content, random)
    except Exception:  # noqa: BLE001 (the file is damaged already, and h5py or zipfile cannot change it)
        return mutated_bytes(content, random)


def _by_kind(content: bytes, random: Random) -> bytes:
    for start, mutate in _MUTATIONS_OF.items():
        if content.startswith(start):
            return mutate(content, random)
    if content[8:9] == b"{" and struct.unpack("<Q", content[:8])[0] < len(content):
        return mutated_safetensors(content, random)
    return mutated_bytes(content, random)


_MUTATIONS_OF: dict[bytes, Callable[[bytes, Random], bytes]] = {
    b"\x89HDF": mutated_hdf5,
    b"PK\x03\x04": lambda content, random: mutated_archive(content, random, mutated),
    b"\x80": mutated_pickles,
    b"\x93NUMPY": mutated_npy,
    b"{": mutated_document,
}
