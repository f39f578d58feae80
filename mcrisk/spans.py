"""Spans of runs, (first, stop), in order: joined where they touch, less others, and rows that follow each other."""

from __future__ import annotations

__all__ = ["beyond", "chains", "joined"]


def beyond(spans: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of joined spans that no other one covers.

    >>> beyond([(0, 10), (20, 30)], [(2, 4), (8, 22)])
    [(0, 2), (4, 8), (22, 30)]
    """
    found = []
    for first, stop in spans:
        for begin, end in others:
            if end <= first or begin >= stop:
                continue
            if begin > first:
                found.append((first, begin))
            first = max(first, end)
        if first < stop:
            found.append((first, stop))
    return found


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, joined where they touch."""
    found: list[tuple[int, int]] = []
    for first, stop in spans:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((first, stop))
    return found


def chains(rows: list[tuple[int, int, bytes]]) -> list[list[tuple[int, int, bytes]]]:
    """Rows of first, count and content, in order, cut where runs are missing between them."""
    found: list[list[tuple[int, int, bytes]]] = []
    for row in rows:
        if not found or found[-1][-1][0] + found[-1][-1][1] != row[0]:
            found.append([])
        found[-1].append(row)
    return found
