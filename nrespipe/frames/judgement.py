"""What speaks for and against a master calibration."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether a new master may be used."""

    ACCEPTED = "accepted"  #: nothing against it
    FLAGGED = "flagged"  #: it may be used, and the doubt is told
    HELD = "held"  #: a person must decide


@dataclass(frozen=True)
class Finding:
    """One number that a master is judged by.

    Attributes
    ----------
    name : str
        What was measured, with its unit at the end: ``level_adu``.
    value : float
        The number; NaN where it could not be measured.
    usual, worst : float
        The master is flagged if the number is beyond the first, held if it is beyond the second, in either direction.
    says : str
        What it means, for a person; ``{value}`` stands for the number.
    """

    name: str
    value: float
    usual: float
    worst: float
    says: str

    @property
    def verdict(self):
        """Verdict: of this number alone; one that could not be measured is a reason to ask a person."""
        if not abs(self.value) <= self.worst:
            return Verdict.HELD
        return Verdict.ACCEPTED if abs(self.value) <= self.usual else Verdict.FLAGGED

    @property
    def words(self):
        """str: the sentence."""
        return self.says.format(value=self.value)


@dataclass(frozen=True)
class Judgement:
    """All that a master was judged by.

    Attributes
    ----------
    findings : tuple of Finding
        In the order in which they are told.
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self):
        """Verdict: the worst of all."""
        ranks = list(Verdict)
        return max((finding.verdict for finding in self.findings), key=ranks.index, default=Verdict.ACCEPTED)

    @property
    def reasons(self):
        """list of str: what speaks against the master, the worst first."""
        ranks = list(Verdict)
        against = [finding for finding in self.findings if finding.verdict is not Verdict.ACCEPTED]
        return [f.words for f in sorted(against, key=lambda finding: -ranks.index(finding.verdict))]
