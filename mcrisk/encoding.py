"""A Tally as a few kilobytes: what workers send and journals keep.

Layout, all little-endian, one zlib stream: a JSON head of counts and names; then columns. Histograms are stored as the
steps between occupied bins and their counts, the counts of `landed` over the bins of `all_contacts`; numbers of eight
bytes are shuffled (all first bytes, then all second bytes, ...), so that the many zero bytes cost nothing.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcrisk.errors import InfrastructureError
from mcrisk.tally import GROUPS, Moments, Scatter, Tally

__all__ = ["decode", "encode"]

LEVEL = 6  # of zlib: higher ones cost more time than they save bytes


def encode(tally: Tally) -> bytes:
    """Bytes from which `decode` makes the same tally; equal tallies give equal bytes."""
    whole, landed = (list(tally.metrics[group].values()) for group in GROUPS)
    pairs = np.flatnonzero(tally.counts)
    head = {
        "ranges": [list(both) for both in tally.ranges],
        "shape": list(tally.counts.shape),
        "metrics": list(tally.metrics[GROUPS[0]]),
        "occupied": [len(one.bins) for one in whole],
        "pairs": [[int(at), int(tally.counts.flat[at]), int(tally.examples.flat[at])] for at in pairs],
        "contacts": [[one.count for one in named] for named in (whole, landed)],
        "points": [tally.scatter[group].count for group in GROUPS],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    sums = [sum_ for one in (*whole, *landed) for sum_ in (one.total, one.squares)]
    sums += [sum_ for group in GROUPS for sum_ in tally.scatter[group].sums[1:]]
    ends = np.array([end for one in (*whole, *landed) for end in (one.least, one.greatest)], "<f8")
    none = np.zeros(0, np.int64)
    steps = np.concatenate([none, *(_steps(one) for one in whole)])
    counts = np.concatenate([none, *(one.counts for one in whole)])
    fewer = np.concatenate([none, *(_over(one, every) for one, every in zip(landed, whole, strict=True))])
    parts = [_shuffled(ends), _shuffled(steps), _shuffled(counts), _shuffled(counts - fewer), *_integers(sums)]
    body = b"".join(struct.pack("<I", len(part)) + part for part in (text, *parts))
    return zlib.compress(body, LEVEL)


def decode(content: bytes) -> Tally:
    """The tally of `encode`. Raises `InfrastructureError` for bytes that are not one."""
    try:
        return _decoded(zlib.decompress(content))
    except (zlib.error, struct.error, ValueError, KeyError, IndexError, TypeError) as error:
        raise InfrastructureError(f"a tally that is damaged ({error})") from error


def _decoded(body: bytes) -> Tally:
    parts, at = [], 0
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at)
        parts.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    text, ends_, steps_, counts_, fewer_, sizes_, zeros_, digits = parts
    head = json.loads(text)
    names: list[str] = head["metrics"]
    ends, sums = _ordered(ends_, "<f8"), _integers_of(sizes_, zeros_, digits)
    steps, counts = _ordered(steps_, "<i8"), _ordered(counts_, "<i8")
    fewer = counts - _ordered(fewer_, "<i8")
    bounds = np.cumsum([0, *head["occupied"]])
    metrics: dict[str, dict[str, Moments]] = {}
    for place, group in enumerate(GROUPS):
        metrics[group] = {}
        for index, name in enumerate(names):
            inside = slice(bounds[index], bounds[index + 1])
            own = (counts if place == 0 else fewer)[inside]
            bins = np.cumsum(steps[inside]).astype(np.uint16)
            number = place * len(names) + index
            metrics[group][name] = Moments(
                count=int(head["contacts"][place][index]),
                total=sums[2 * number],
                squares=sums[2 * number + 1],
                least=float(ends[2 * number]),
                greatest=float(ends[2 * number + 1]),
                bins=bins[own > 0],
                counts=own[own > 0],
            )
    rest = sums[4 * len(names) :]
    half = len(rest) // 2
    shape = tuple(head["shape"])
    pair_counts, examples = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    for pair, count, example in head["pairs"]:
        pair_counts.flat[pair], examples.flat[pair] = count, example
    return Tally(
        ranges=tuple((int(first), int(stop)) for first, stop in head["ranges"]),
        counts=pair_counts,
        examples=examples,
        metrics=metrics,
        scatter={
            group: Scatter(int(head["points"][place]), *rest[place * half : (place + 1) * half])
            for place, group in enumerate(GROUPS)
        },
    )


def _steps(one: Moments) -> NDArray[np.int64]:
    """From each occupied bin to the next, the first from zero."""
    bins = one.bins.astype(np.int64)
    bins[1:] -= bins[:-1].copy()
    return bins


def _over(one: Moments, every: Moments) -> NDArray[np.int64]:
    """The counts of a part of the runs, over the bins of all of them."""
    counts = np.zeros(len(every.bins), np.int64)
    counts[np.searchsorted(every.bins, one.bins)] = one.counts
    return counts


def _shuffled(values: NDArray[Any]) -> bytes:
    wide = values.astype(values.dtype.newbyteorder("<"))  # eight bytes each
    return np.ascontiguousarray(wide.view(np.uint8).reshape(-1, 8).T).tobytes()


def _ordered(content: bytes, kind: str) -> NDArray[Any]:
    """The numbers of `_shuffled`."""
    return np.ascontiguousarray(np.frombuffer(content, np.uint8).reshape(8, -1).T).reshape(-1).view(kind)


def _integers(values: Iterable[int]) -> tuple[bytes, bytes, bytes]:
    """Integers of any size as three columns: bytes each, trailing zero bits each, digits without those zeros."""
    sizes, zeros, digits = [], [], []
    for value in values:
        trailing = max((value & -value).bit_length() - 1, 0)
        short = value >> trailing
        size = short.bit_length() // 8 + 1
        sizes.append(size)
        zeros.append(trailing)
        digits.append(short.to_bytes(size, "little", signed=True))
    return np.array(sizes, "<u2").tobytes(), np.array(zeros, "<u2").tobytes(), b"".join(digits)


def _integers_of(sizes: bytes, zeros: bytes, digits: bytes) -> list[int]:
    found, at = [], 0
    for size, trailing in zip(np.frombuffer(sizes, "<u2").tolist(), np.frombuffer(zeros, "<u2").tolist(), strict=True):
        found.append(int.from_bytes(digits[at : at + size], "little", signed=True) << trailing)
        at += size
    if at != len(digits):
        raise ValueError("sums cut short")
    return found
