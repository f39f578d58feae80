"""A requirement on landing risk: read from text, counted in a tally, judged at every look.

    success >= 0.99 @ 0.90                     of all runs at least 99 % land; proved at 90 % confidence
    outcome tip_over >= 99.9 % @ 95 %          of all runs at least 99.9 % do NOT end in tip_over
    descent_rate < 2 m/s >= 0.99 @ 0.90        of all runs at least 99 % reach the ground slower than that
    propellant_left > 10 kg >= 0.99 @ 0.90

The share is always that of the runs that meet the requirement, among all runs. A run that never reaches the ground, or
whose computation is invalid, has no metric and meets no requirement on one.

Why `>=` alone: a requirement says what is good, so that PASS and FAIL mean the same for every kind. The text is split
into words and compared with the schema; nothing in it is ever evaluated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args

from mcrisk import units
from mcrisk.binomial import LARGEST, SLACK, counts_of, most_failures, open_fraction
from mcrisk.errors import MistakeError, suggestion, visible
from mcrisk.schema import load_schema

if TYPE_CHECKING:
    from mcrisk.tally import Moments, Tally

__all__ = ["Look", "Requirement", "Verdict", "check_final", "count", "judge", "parse"]

Kind = Literal["success", "outcome", "metric"]
Decision = Literal["PASS", "FAIL", "UNDECIDED"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
FIRST = 0.8  # [] of the consumer's risk that the first look spends; the rest is for all later ones together
LONGEST = 200  # [character] of a requirement's text
TOKEN = re.compile(r"<=|>=|[<>=@]|[^\s<>=@]+")
FRACTION = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?) ?(%|percent)?")
FORM = (
    '"success", "outcome NAME", "METRIC < VALUE UNIT" or "METRIC > VALUE UNIT", then ">= P @ CONFIDENCE",'
    ' such as "success >= 0.99 @ 0.90"'
)


@dataclass(frozen=True)
class Requirement:
    """At least `probability` of all runs meet a statement, to be proved at `confidence`.

    name: the outcome that must not be, or the metric. limit: in SI, of the metric's `unit`.
    """

    kind: Kind
    probability: float
    confidence: float
    name: str = "success"
    relation: Literal["", "<", ">"] = ""
    limit: float = 0.0
    unit: str = ""

    def __post_init__(self) -> None:
        open_fraction("probability", self.probability)
        if open_fraction("confidence", self.confidence) < 0.5:
            raise MistakeError("confidence", "0.5 or more", repr(self.confidence))

    @property
    def text(self) -> str:
        """The one spelling of this requirement: `parse` gives the same requirement back.

        >>> parse("descent_rate<200 cm/s >= 99% @ 90%").text
        'descent_rate < 2 m/s >= 0.99 @ 0.9'
        """
        return f"{self.statement} >= {self.probability!r} @ {self.confidence!r}"

    @property
    def statement(self) -> str:
        """What is required of a single run, as the text says it before `>=`."""
        if self.kind == "metric":
            return f"{self.name} {self.relation} {units.format(self.limit, self.unit)}"
        return "success" if self.kind == "success" else f"outcome {self.name}"

    @property
    def meaning(self) -> str:
        """The requirement in words, without its confidence.

        >>> parse("outcome tip_over >= 99.9 % @ 0.9").meaning
        'at least 99.9 % of all runs do not end in tip_over'
        """
        does = {
            "success": "land",
            "outcome": f"do not end in {self.name}",
            "metric": f"reach the ground with {self.statement}",
        }
        return f"at least {_percent(self.probability)} of all runs {does[self.kind]}"


def parse(text: object, where: str = "") -> Requirement:
    """The requirement that a text states; `where` names the text in a refusal, as `file: requirements.soft`.

    >>> parse("success >= 0.99 @ 0.90")
    Requirement(kind='success', probability=0.99, confidence=0.9, name='success', relation='', limit=0.0, unit='')
    >>> parse("outcome tipover >= 0.99 @ 0.90")
    Traceback (most recent call last):
    mcrisk.errors.MistakeError: requirement: unknown outcome 'tipover'; did you mean 'tip_over'?
    """
    subject = where or "requirement"
    if not isinstance(text, str):
        raise MistakeError(subject, FORM, units.shown(text))
    if len(text) > LONGEST:
        raise MistakeError(subject, FORM, f"a text of {len(text)} characters")
    words = TOKEN.findall(text)
    if words.count(">=") != 1 or words.count("@") != 1 or words.index(">=") > words.index("@"):
        raise MistakeError(subject, FORM, f'"{visible(text)}"', _hint(words) if words else "")
    at_least, at = words.index(">="), words.index("@")
    kind, name, relation, limit, unit = _statement(words[:at_least], text, subject)
    probability = _fraction(words[at_least + 1 : at], "the probability after >=", subject)
    confidence = _fraction(words[at + 1 :], "the confidence after @", subject)
    if confidence < 0.5:
        remedy = f"for a risk of {confidence!r} write @ {1 - confidence:.6g}"
        raise MistakeError(f"{subject}: the confidence after @", "0.5 or more", repr(confidence), remedy)
    return Requirement(kind, probability, confidence, name, relation, limit, unit)


def _statement(words: list[str], text: str, subject: str) -> tuple[Kind, str, Literal["", "<", ">"], float, str]:
    """Kind, name, relation, limit and unit of what stands before `>=`."""
    schema = load_schema()
    outcomes = list(schema.enums["Outcome"])
    metrics = {name: one.unit for name, one in schema.record_fields.items() if one.metric}
    first, second, rest = [*words, "", ""][0], [*words, "", ""][1], words[2:]
    if words == ["success"]:
        return "success", "success", "", 0.0, ""
    if first == "outcome" and len(words) == 2 and second not in "<=>":
        if second == "success":
            remedy = 'write "success >= P @ CONFIDENCE"'
            raise MistakeError(subject, "an outcome that must not be", f'"{visible(text)}"', remedy)
        if second not in outcomes:
            losses = [one for one in outcomes if one != "success"]
            remedy = suggestion(second, losses) or f"write one of {', '.join(losses)}"
            raise MistakeError(f"{subject}: unknown outcome '{visible(second)}'", remedy=remedy)
        return "outcome", second, "", 0.0, ""
    if first in metrics and second in ("<", ">") and rest and not {"<", ">", "<=", "="} & set(rest):
        limit = units.parse(" ".join(rest), metrics[first], f"{subject}: {first}")
        return "metric", first, "<" if second == "<" else ">", limit, metrics[first]
    if first in ("success", "outcome", *metrics) or not re.fullmatch(r"[A-Za-z_]\w*", first):
        remedy = {
            "success": 'nothing stands between "success" and ">="',
            "outcome": 'name one outcome between "outcome" and ">="',
        }.get(first, 'a limit of a metric is "<" or ">", then a number and its unit' if first in metrics else "")
        raise MistakeError(subject, FORM, f'"{visible(text)}"', remedy)
    what = "metric" if {"<", ">", "<=", "="} & set(words) else "word"
    remedy = suggestion(first, ["success", "outcome", *metrics]) or f"write one of {', '.join(metrics)}"
    if first in outcomes:
        remedy = f'write "outcome {first} >= P @ CONFIDENCE" for the share of runs that do not end so'
    raise MistakeError(f"{subject}: unknown {what} '{visible(first)}'", remedy=remedy)


def _hint(words: list[str]) -> str:
    """What a text lacks that does not have one `>=` and one `@` after it."""
    if words[:1] == ["outcome"] and "<=" in words:
        return "state the share of runs that do not end so, with >="
    if ">=" not in words:
        return "the probability is missing, such as >= 0.99"
    return "the confidence is missing, such as @ 0.90" if "@" not in words else ""


def _fraction(words: list[str], what: str, subject: str) -> float:
    """A number strictly between 0 and 1, written as a fraction or in percent."""
    text = " ".join(words)
    match = FRACTION.fullmatch(text)
    expected = 'a number between 0 and 1 such as 0.99 or "99 %"'
    if not match:
        raise MistakeError(f"{subject}: {what}", expected, f'"{visible(text)}"' if text else "nothing")
    value = float(Fraction(match[1]) / (100 if match[2] else 1))
    if not 0.0 < value < 1.0:
        remedy = f'write "{match[1]} %"' if not match[2] and 1 < value < 100 else ""
        raise MistakeError(f"{subject}: {what}", expected, f'"{visible(text)}"', remedy)
    return value


# ------------------------------------------------------------------------------------------------------------ counting


def count(requirement: Requirement, tally: Tally) -> tuple[int, int]:
    """How many of the tally's runs meet the requirement: (least, most), equal where the tally tells exactly.

    success: the runs that land; an invalid run never does. outcome: the runs that end otherwise; how an invalid run
    would have ended is not known, so it is in `most` alone. metric: the runs that reach the ground within the limit.
    The tally knows a metric to a bin of 1/64 of its value, closed at the end nearer to zero and open at the other: a
    limit within a bin leaves a range. The range is a single number when the limit is the open end of a bin, such as
    `< 2 m/s`, or when no run lies in that bin.
    """
    outcomes = load_schema().enums["Outcome"]
    ended = tally.counts.sum(axis=1)
    if requirement.kind == "success":
        return int(ended[outcomes["success"]]), int(ended[outcomes["success"]])
    if requirement.kind == "outcome":
        most = tally.runs - int(ended[outcomes[requirement.name]])
        return most - (int(ended[outcomes["invalid"]]) if requirement.name != "invalid" else 0), most
    metric = tally.metrics["all_contacts"][requirement.name]
    if requirement.relation == "<":
        return _below(metric, requirement.limit, equal=False)
    least, most = _below(metric, requirement.limit, equal=True)
    return metric.count - most, metric.count - least


def _below(metric: Moments, limit: float, equal: bool) -> tuple[int, int]:
    """How many values are below the limit, or equal to it when so asked: (least, most)."""
    import numpy as np

    from mcrisk.tally import bin_edges

    if not metric.count:
        return 0, 0
    lower, upper = bin_edges(metric.bins)
    holds_lower, holds_upper = lower >= 0, upper <= 0
    if any(float(np.float32(end)) != end for end in (metric.least, metric.greatest)):
        # Doubles are rounded to floats before they find their bin: half a step beyond its ends, all taken as held.
        lower, upper = np.nextafter(lower, np.float32(-np.inf)), np.nextafter(upper, np.float32(np.inf))
        holds_lower = holds_upper = np.ones(len(lower), bool)
    else:
        zeros = lower == 0  # the bin of [0, 2^-132): no physical number but zero itself
        upper, holds_upper = np.where(zeros, lower, upper), holds_upper | zeros
    bottom, top = np.maximum(lower, metric.least), np.minimum(upper, metric.greatest)
    holds_lower, holds_upper = holds_lower | (bottom == metric.least), holds_upper | (top == metric.greatest)
    if equal:
        surely, possibly = top <= limit, (bottom < limit) | ((bottom == limit) & holds_lower)
        first, last = metric.least <= limit, metric.greatest <= limit
    else:
        surely, possibly = (top < limit) | ((top == limit) & ~holds_upper), bottom < limit
        first, last = metric.least < limit, metric.greatest < limit
    least, most = int(metric.counts[surely].sum()), int(metric.counts[possibly].sum())
    return max(least, int(first)), min(most, metric.count - int(not last))


# ------------------------------------------------------------------------------------------------------------- judging


@dataclass(frozen=True)
class Look:
    """One look at a campaign in the past: so many of its runs met the requirement, and this was the verdict.

    final, planned: as `judge` was told at that look.
    """

    runs: int
    met_least: int
    met_most: int
    verdict: str
    final: bool = False
    planned: bool = True


@dataclass(frozen=True)
class Verdict:
    """What is known of a requirement after a look.

    failures: runs that do not surely meet it; failures_least: runs that surely do not. allowed_failures: the most with
    which these runs would have proved it at this look, -1 if not even none; disproving_failures: the fewest that would
    have disproved it, or None. runs_needed: about how many runs in all prove it if the share of failures stays, None if
    none do. risk_spent: of 1 - confidence, by all looks so far. decided_at: the runs of the look that decided.
    """

    verdict: Decision
    requirement: str
    runs: int
    failures: int
    allowed_failures: int
    runs_needed: int | None
    failures_least: int
    disproving_failures: int | None
    risk_spent: float
    looks: int
    decided_at: int | None
    final: bool
    planned: bool
    explanation: str

    def to_dict(self) -> dict[str, Any]:
        """The keys of `mcrisk verify --json`."""
        return asdict(self)

    @property
    def look(self) -> Look:
        """This look, to be given to the next."""
        met = (self.runs - self.failures, self.runs - self.failures_least)
        return Look(self.runs, *met, self.verdict, self.final, self.planned)


def judge(
    requirement: Requirement,
    runs: SupportsIndex,
    least: SupportsIndex,
    most: SupportsIndex,
    looks: Iterable[Look] = (),
    final: bool = False,
    planned: bool = True,
) -> Verdict:
    """PASS, FAIL or UNDECIDED after `runs` of which `least` to `most` meet the requirement, in the light of past looks.

    looks: the earlier looks at this campaign for this requirement, oldest first. final: spend all of the risk at this
    first look; no later look can decide. planned: whether the number of runs of the first look was fixed before any of
    them was seen; not so where a campaign was interrupted or stopped by its own results.

    The rule. With alpha = 1 - confidence, the first look proves the requirement by the exact binomial test at 0.8
    alpha: were the true share just P, so few failures would come with that chance at most. Every later look, and a
    first one that was not planned, proves it by the evidence of `sequence.log_evidence` reaching 1 / (0.2 alpha). FAIL
    is the mirrored proof that the share is below P, with the same split. PASS counts `least`, FAIL counts `most`. A
    decision stands at later looks unless they prove the contrary. The same runs looked at again are no new look.

    Why alpha is kept however often one looks, and whatever makes one stop: let the true share be P or less. The first
    look's runs do not depend on the results, so it passes with a chance of at most 0.8 alpha (Clopper & Pearson). The
    evidence is a supermartingale that starts at 1, so it ever reaches 1 / (0.2 alpha), at any number of runs, with a
    chance of at most 0.2 alpha (Ville 1939). Together: PASS is ever given with a chance of at most alpha. A final look
    passes with a chance of at most alpha and is the only one. Fewer runs counted as meeting it only delay a PASS, for
    both proofs are monotone in the count. FAIL is the same with the sides exchanged. At 0.5 confidence and above no
    count proves both.

    The evidence averages over failure shares below the limit Q = 1 - P (above it, for FAIL) with the density of a beta
    distribution of mean Q worth 1/Q runs, fixed by the requirement alone. The price of the split at 90 %: 252 runs
    without a failure instead of 230 at the first look for P = 0.99, 836 instead of 798 with four.

    >>> limit = parse("success >= 0.99 @ 0.90")
    >>> first = judge(limit, 500, 496, 496)
    >>> first.verdict, first.allowed_failures, first.runs_needed
    ('UNDECIDED', 1, 28996)
    >>> judge(limit, 3000, 2993, 2993, [first.look]).verdict
    'PASS'
    """
    total, met_least, met_most = counts_of(runs=runs, least=least, most=most)
    if total < 1 or not met_least <= met_most <= total:
        raise MistakeError("runs", "0 <= least <= most <= runs and a run at least", f"{met_least}, {met_most}, {total}")
    past = _checked(looks)
    if final and not planned:
        raise MistakeError("final", "a number of runs fixed before any was seen", "one that was not")
    for place, look in enumerate(past):
        if look.runs == total:
            if (look.met_least, look.met_most) != (met_least, met_most):
                same = f"{look.met_least} to {look.met_most} of {total} runs that meet it, as at the earlier look"
                raise MistakeError("looks", same, f"{met_least} to {met_most}", "are they of another campaign?")
            if final and not look.final:
                raise _too_late(total)
            return _judged(requirement, look, past[:place], decided=look.verdict)
    if past and total < past[-1].runs:
        raise MistakeError("runs", f"at least the {past[-1].runs} of the last look", str(total))
    if final:
        check_final(past, further=True)
    return _judged(requirement, Look(total, met_least, met_most, "", final, planned), past)


def _judged(requirement: Requirement, look: Look, past: tuple[Look, ...], decided: str = "") -> Verdict:
    """The verdict after a look; `decided` is what was said of the same runs before."""
    alpha = 1.0 - requirement.confidence
    failures, failures_least = look.runs - look.met_least, look.runs - look.met_most
    first = past[0] if past else look
    closed = bool(past) and first.final
    exact, later = not past and look.planned, not first.final and (bool(past) or not look.planned)
    spent = alpha * (1.0 if first.final else FIRST * first.planned + (1.0 - FIRST) * later)
    if closed:
        allowed, successes = -1, -1
    elif exact:
        allowed, successes = _exact(requirement, look.runs, spent)
    else:
        allowed, successes = _sequential(requirement, look.runs)
    standing = past[-1].verdict if past else "UNDECIDED"
    verdict = "PASS" if failures <= allowed else "FAIL" if look.met_most <= successes else standing
    verdict = decided or verdict
    decided_at = None
    if verdict != "UNDECIDED":
        decided_at = look.runs
        for earlier in reversed(past):
            if earlier.verdict != verdict:
                break
            decided_at = earlier.runs
    needed = decided_at if verdict == "PASS" else None
    if verdict == "UNDECIDED" and not (closed or look.final):
        needed = _needed(requirement, look.runs, failures)
    found = Verdict(
        verdict=next(one for one in DECISIONS if one == verdict),
        requirement=requirement.text,
        runs=look.runs,
        failures=failures,
        allowed_failures=allowed,
        runs_needed=needed,
        failures_least=failures_least,
        disproving_failures=look.runs - successes if successes >= 0 else None,
        risk_spent=round(spent, 12),
        looks=len(past) + 1,
        decided_at=decided_at,
        final=look.final,
        planned=look.planned,
        explanation="",
    )
    return replace(found, explanation=_explained(found, requirement, past))


def _exact(requirement: Requirement, runs: int, risk: float) -> tuple[int, int]:
    """The most failures that prove the requirement at this risk and the most successes that disprove it, -1 of none."""
    loss = 1.0 - requirement.probability
    return most_failures(runs, loss, risk * SLACK), most_failures(runs, requirement.probability, risk * SLACK)


def _sequential(requirement: Requirement, runs: int) -> tuple[int, int]:
    """The same by the evidence that is valid at every look."""
    proves, disproves = _evidence(requirement)
    return _greatest(runs, lambda failures: proves(failures, runs)), _greatest(
        runs, lambda successes: disproves(runs - successes, runs)
    )


def _evidence(requirement: Requirement) -> tuple[Callable[[int, int], bool], Callable[[int, int], bool]]:
    """Whether the evidence of (failures, runs) proves the requirement, and whether it disproves it."""
    from mcrisk.sequence import log_evidence

    loss = 1.0 - requirement.probability
    rarer = min(loss, requirement.probability)
    prior = (1.0, (1.0 - rarer) / rarer) if loss <= 0.5 else ((1.0 - rarer) / rarer, 1.0)
    enough = -math.log((1.0 - FIRST) * (1.0 - requirement.confidence))

    def proves(failures: int, runs: int) -> bool:
        return bool(log_evidence(failures, runs, loss, prior, "at_least") >= enough)

    def disproves(failures: int, runs: int) -> bool:
        return bool(log_evidence(failures, runs, loss, prior, "at_most") >= enough)

    return proves, disproves


def _greatest(runs: int, holds: Callable[[int], bool]) -> int:
    """The greatest count up to `runs` for which something holds that holds for all smaller ones, or -1."""
    within, beyond = -1, runs + 1
    while beyond - within > 1:
        middle = (within + beyond) // 2
        if holds(middle):
            within = middle
        else:
            beyond = middle
    return within


def _needed(requirement: Requirement, runs: int, failures: int) -> int | None:
    """The runs in all at which a later look proves the requirement if the share of failures stays, or None."""
    proves, _ = _evidence(requirement)
    if failures >= (1.0 - requirement.probability) * runs:
        return None

    def enough(total: int) -> bool:
        return proves(-(-failures * total // runs), total)

    too_few, found = runs, 2 * runs
    while not enough(found):
        if found > LARGEST // 2:
            return None
        too_few, found = found, 2 * found
    while found - too_few > 1:
        middle = (too_few + found) // 2
        if enough(middle):
            found = middle
        else:
            too_few = middle
    return found


def _checked(looks: Iterable[Look]) -> tuple[Look, ...]:
    """The looks, refused where they cannot be those of one campaign."""
    past = tuple(looks)
    for place, look in enumerate(past):
        fitting = 0 <= look.met_least <= look.met_most <= look.runs and look.verdict in DECISIONS
        if not fitting or (place and (look.runs <= past[place - 1].runs or look.final)):
            raise MistakeError("looks", "earlier looks, oldest first, each at more runs than the last", str(look))
    return past


def check_final(looks: Sequence[Look], further: bool = False) -> None:
    """Refuse a final look after others, but for the same runs again unless `further` ones are flown."""
    if looks and (further or not looks[0].final):
        raise _too_late(looks[0].runs)


def _too_late(runs: int) -> MistakeError:
    remedy = "risk was spent there: go on with more runs, or state a new campaign with another seed"
    return MistakeError("final", "the first look", f"a campaign looked at already after {_whole(runs)} runs", remedy)


def _explained(found: Verdict, requirement: Requirement, past: tuple[Look, ...]) -> str:
    """One sentence for people."""
    least, most = found.failures_least, found.failures
    many = _whole(most) if least == most else f"{_whole(least)} to {_whole(most)}"
    seen = f"{many} {'failure' if most == 1 else 'failures'} in {_whole(found.runs)} runs"
    sure = f"with {_percent(requirement.confidence)} confidence"
    if found.verdict != "UNDECIDED":
        told = f"{'Proved' if found.verdict == 'PASS' else 'Disproved'} {sure} that {requirement.meaning}"
        if found.decided_at != found.runs:
            return f"{told}, by the look at {_whole(found.decided_at or 0)} runs; by now {seen}."
        if found.verdict == "PASS":
            return f"{told}: {seen}, at most {_whole(found.allowed_failures)} prove it."
        return f"{told}: {seen}, at least {_whole(found.disproving_failures or 0)} disprove it."
    told = f"Not decided {sure} whether {requirement.meaning}: {seen}"
    if past and past[0].final:
        return f"{told}, and the look at {_whole(past[0].runs)} runs was the final one."
    limits = [f"at most {_whole(found.allowed_failures)} prove it"] if found.allowed_failures >= 0 else []
    if found.disproving_failures is not None:
        limits.append(f"at least {_whole(found.disproving_failures)} disprove it")
    told += f", where {' and '.join(limits) or 'so few runs prove nothing'}"
    if found.final:
        return f"{told}; this look was the final one."
    if found.runs_needed:
        return f"{told}; if the share stays, about {_whole(_rounded(found.runs_needed))} runs in all prove it."
    return f"{told}; more runs with this share would not prove it."


def _rounded(number: int) -> int:
    """Two digits, upwards."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // step) * step


def _percent(fraction: float) -> str:
    return f"{100.0 * fraction:.10g} %"


def _whole(number: int) -> str:
    return f"{number:,}".replace(",", " ")
