"""The common form of what is measured: rows of a family, how much of it is found, and how much is found that is none."""

from dataclasses import dataclass, field


@dataclass
class Row:
    """Counts of one family. ``positives`` must be found, ``negatives`` must not; ``missed`` and ``false`` are examples."""

    family: str
    positives: int = 0
    found: int = 0
    negatives: int = 0
    flagged: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    def add(self, text, *, positive, hit):
        """Count one labelled text."""
        if positive:
            self.positives += 1
            self.found += hit
        else:
            self.negatives += 1
            self.flagged += hit
        if positive != hit:
            (self.missed if positive else self.false).append(text)

    @property
    def recall(self):
        """Of the positives, those found; 1 where there are none."""
        return self.found / self.positives if self.positives else 1.0

    @property
    def false_rate(self):
        """Of the negatives, those flagged."""
        return self.flagged / self.negatives if self.negatives else 0.0


def total(rows):
    """All rows as one."""
    return Row(
        "total",
        sum(row.positives for row in rows),
        sum(row.found for row in rows),
        sum(row.negatives for row in rows),
        sum(row.flagged for row in rows),
    )


def render(rows):
    """The table as text."""
    lines = [f"{'family':28}{'positives':>10}{'found':>7}{'recall':>8}{'negatives':>11}{'flagged':>9}{'false':>8}"]
    for row in [*rows, total(rows)]:
        recall = f"{row.recall:.1%}" if row.positives else "-"
        false = f"{row.false_rate:.2%}" if row.negatives else "-"
        lines.append(
            f"{row.family:28}{row.positives:10}{row.found:7}{recall:>8}{row.negatives:11}{row.flagged:9}{false:>8}"
        )
    return "\n".join(lines)
