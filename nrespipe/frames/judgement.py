"""Judgement of a master calibration: the numbers that it was checked by, with their limits."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class Verdict(StrEnum):
    """Result of the checks of a master, from best to worst."""

    ACCEPTED = "accepted"  #: every number is within its limit
    FLAGGED = "flagged"  #: a number is unusual; the master is used without review
    REVIEW = "needs review"  #: a person has to look; until then it is used, and its products are flagged
    REJECTED = "rejected"  #: it is never used


_RANKS = list(Verdict)


@dataclass(frozen=True)
class Finding:
    """One number that a master is checked by, with its limits.

    Attributes
    ----------
    name
        Name of the quantity, with its unit at the end: ``level_adu``.
    value
        The number; NaN where it could not be measured.
    usual, worst
        Limits in either direction: the master is flagged beyond the first, and needs review beyond the second or where
        the number could not be measured.
    says
        Sentence for a person; ``{value}`` is replaced by the number.
    useless
        Limit beyond which the master is rejected.
    known
        Whether the last good master has the same finding: then the master is flagged, and needs no review.
    """

    name: str
    value: float
    usual: float
    worst: float
    says: str
    useless: float = math.inf
    known: bool = False

    @property
    def verdict(self) -> Verdict:
        """Verdict by this number alone."""
        if abs(self.value) > self.useless:
            return Verdict.REJECTED
        if not abs(self.value) <= self.worst:
            return Verdict.FLAGGED if self.known else Verdict.REVIEW
        return Verdict.ACCEPTED if abs(self.value) <= self.usual else Verdict.FLAGGED

    @property
    def words(self) -> str:
        """The sentence with the number."""
        return self.says.format(value=self.value)


@dataclass(frozen=True)
class Judgement:
    """All findings about a master.

    Attributes
    ----------
    findings
        In the order of the checks.
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        return max((finding.verdict for finding in self.findings), key=_RANKS.index, default=Verdict.ACCEPTED)

    @property
    def changed(self) -> bool:
        """Whether a finding is beyond its limit that is within it for the last good master."""
        return any(finding.verdict is not Verdict.ACCEPTED and not finding.known for finding in self.findings)

    @property
    def reasons(self) -> list[str]:
        """Sentences of the findings beyond their limits, the worst first."""
        against = [finding for finding in self.findings if finding.verdict is not Verdict.ACCEPTED]
        return [f.words for f in sorted(against, key=lambda finding: -_RANKS.index(finding.verdict))]

    def compared_with(self, last: "Judgement") -> "Judgement":
        """Return this judgement with the findings marked as known that the last good master has too.

        Parameters
        ----------
        last
            Judgement of the last good master by itself.
        """
        before = {finding.name: _RANKS.index(finding.verdict) for finding in last.findings}
        return Judgement(
            tuple(
                replace(finding, known=_RANKS.index(finding.verdict) <= before.get(finding.name, 0))
                for finding in self.findings
            )
        )
