"""What speaks for and against a master calibration."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class Verdict(StrEnum):
    """What speaks against a new master; the later the worse."""

    ACCEPTED = "accepted"  #: nothing
    FLAGGED = "flagged"  #: a doubt that is told
    REVIEW = "needs review"  #: it is used, and what it is used for says that nobody has looked at it
    REJECTED = "rejected"  #: it cannot serve


_RANKS = list(Verdict)


@dataclass(frozen=True)
class Finding:
    """One number that a master is judged by.

    Attributes
    ----------
    name
        What was measured, with its unit at the end: ``level_adu``.
    value
        The number; NaN where it could not be measured.
    usual, worst
        The master is flagged if the number is beyond the first, and needs review if it is beyond the second, in either
        direction, or could not be measured.
    says
        What it means, for a person; ``{value}`` stands for the number.
    useless
        The master is rejected if the number is beyond this one.
    known
        Whether the last good master shows the same: then it is told and is no reason for a review.
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
        """Of this number alone."""
        if abs(self.value) > self.useless:
            return Verdict.REJECTED
        if not abs(self.value) <= self.worst:
            return Verdict.FLAGGED if self.known else Verdict.REVIEW
        return Verdict.ACCEPTED if abs(self.value) <= self.usual else Verdict.FLAGGED

    @property
    def words(self) -> str:
        """The sentence."""
        return self.says.format(value=self.value)


@dataclass(frozen=True)
class Judgement:
    """All that a master was judged by.

    Attributes
    ----------
    findings
        In the order in which they are told.
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return max((finding.verdict for finding in self.findings), key=_RANKS.index, default=Verdict.ACCEPTED)

    @property
    def changed(self) -> bool:
        """Whether anything is said against the master that the last good one does not show as well."""
        return any(finding.verdict is not Verdict.ACCEPTED and not finding.known for finding in self.findings)

    @property
    def reasons(self) -> list[str]:
        """What speaks against the master, the worst first."""
        against = [finding for finding in self.findings if finding.verdict is not Verdict.ACCEPTED]
        return [f.words for f in sorted(against, key=lambda finding: -_RANKS.index(finding.verdict))]

    def beside(self, last: "Judgement") -> "Judgement":
        """Return this judgement, with what the last good master shows as well marked as known.

        Parameters
        ----------
        last
            Of that master by itself.
        """
        before = {finding.name: _RANKS.index(finding.verdict) for finding in last.findings}
        return Judgement(
            tuple(
                replace(finding, known=_RANKS.index(finding.verdict) <= before.get(finding.name, 0))
                for finding in self.findings
            )
        )
