"""What suites say that they can tell, held against the judge.

    python -m benchmarks.power_statements [--runs 200] [--write]

For banks like those of the shipped suites, and for small ones, the figures of
`suites.statistics.gate_power` are computed from a spread. The judge that decides runs then meets
simulated models of that spread: as much worse as is said to be found, or to fail, in 80 % of runs;
and equal ones at the margin, and at the margin that is said to be shown in 80 %. The first gate is
the one that changes; the others are null and share alpha.

In small banks the margin that is shown is the price of rare bad pairs that may not have come. The
second table makes the whole change, as large as that margin, of such pairs: how often "not worse"
is wrong.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.result_pages import can_write, command_line, publish, share
from benchmarks.simulated_pairs import suite_of, table_of
from suites.definition.suite_schema import Gate
from suites.formatting import percent
from suites.pair_table import PairTable
from suites.run_plan import RunPlan
from suites.statistics.gate_power import BankSize, Told, told_of
from suites.verdict.gate_word import GOOD
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import MetricVerdict

ALPHA = 0.05
OVERALL = BankSize(38, (6,) * 18 + (3, 3))
COMFORT = BankSize(53, (3,) * 13 + (2,) * 7)
WORSE = frozenset({MetricVerdict.WORSE})
TOLD = WORSE | {MetricVerdict.SLIGHTLY_WORSE}


@dataclass(frozen=True, slots=True)
class StatedBank:
    """A bank, how models differ on it between and inside routes, and its gates."""

    name: str
    bank: BankSize
    spread: tuple[float, float]
    gates: int
    margin: float

    @property
    def stated(self) -> Told:
        gate = Gate(metric="m0", margin=self.margin)
        return told_of(gate, self.bank, self.spread, ALPHA, self.gates)

    def word(
        self, effect: float, margin: float, seed: int, factor: float | None = None
    ) -> MetricVerdict:
        """The first gate's, where its metric is worse by `effect`.

        On every pair alike, or on rare ones that cost so many times as much."""
        table = self._table(np.random.default_rng([seed, round(1e5 * effect)]), effect, factor)
        sizes = {f"r{i}": size for i, size in enumerate(self.bank.route_pairs)}
        judge = RunJudge(suite_of([margin] * self.gates, seed), RunPlan(len(table), sizes))
        judge.extend(table)
        return judge.words[0]

    def _table(self, rng: np.random.Generator, effect: float, factor: float | None) -> PairTable:
        """Breadth first; relative differences are normal."""
        sizes = np.array(self.bank.route_pairs)
        order = [rng.permutation(np.nonzero(sizes > k)[0]) for k in range(sizes.max())]
        route = np.concatenate(order)
        between, within = self.spread
        shift = rng.normal(0, between, (len(sizes), self.gates))
        r = shift[route] + rng.normal(0, within, (len(route), self.gates))
        if factor is None:
            r[:, 0] += effect
        else:
            spike = 2 * (factor - 1) / (factor + 1)
            r[:, 0] += spike * (rng.random(len(r)) < effect / spike)
        r = r.clip(-1.99, 1.99)
        b = np.exp(rng.normal(0, 0.6, r.shape))
        return table_of(b * (2 + r) / (2 - r), b, [f"r{i}" for i in route])


BANKS = (
    StatedBank("overall, two close models of the demo", OVERALL, (0.085, 0.147), 4, 0.25),
    StatedBank("overall, wider", OVERALL, (0.118, 0.241), 4, 0.15),
    StatedBank("comfort", COMFORT, (0.118, 0.241), 5, 0.25),
    StatedBank("40 routes of one segment, sd .2", BankSize(40, (1,) * 40), (0.2, 0.0), 1, 0.25),
    StatedBank("100 routes of one segment, sd .1", BankSize(100, (1,) * 100), (0.1, 0.0), 1, 0.1),
    StatedBank("100 routes of four segments", BankSize(400, (4,) * 100), (0.08, 0.12), 1, 0.05),
    StatedBank("500 routes of one segment", BankSize(500, (1,) * 500), (0.2, 0.0), 1, 0.05),
)
COLUMNS = (
    "bank, gates, margin",
    "told from none",
    "measured",
    "fails",
    "measured",
    "equal models pass at the margin",
    "measured",
    "margin shown",
    "measured",
)


FACTORS = (2.0, 3.0, 10.0, 30.0)
SMALL = (20, 38, 60, 100)


def small_banks(runs: int) -> list[str]:
    """Rows: routes of one segment, the margin shown, and how often it is asserted."""
    rows = []
    for routes in SMALL:
        bank = BankSize(routes, (1,) * routes)
        one = StatedBank("", bank, (0.1, 0.0), 1, 0.25)
        margin = one.stated.shown or 2.0
        changes: list[tuple[float, float | None]] = [(0.0, None), (margin, None)]
        changes += [(margin, factor) for factor in FACTORS]
        cells = [
            share([one.word(size, margin, i, factor) in GOOD for i in range(runs)], 1)
            for size, factor in changes
        ]
        shown = percent(margin, signed=False)
        rows.append(f"| {routes} | {shown} | {' | '.join(cells)} |")
    times = " | ".join(f"×{factor:g}" for factor in FACTORS)
    head = (
        f"| routes of one segment, sd .1 | margin shown | equal models | evenly worse | {times} |"
    )
    return [head, "|" + "---|" * (4 + len(FACTORS)), *rows]


def report(runs: int) -> str:
    rows = []
    for one in BANKS:
        stated = one.stated
        cells = [f"{one.name}, {one.gates}, {percent(one.margin, 0, signed=False)}"]
        for size, words in ((stated.found, TOLD), (stated.fails, WORSE)):
            hits = [one.word(size or 0.0, one.margin, i) in words for i in range(runs)]
            cells += [percent(size, signed=False), share(hits)]
        for said, margin in ((stated.passes, one.margin), (stated.shown, stated.shown or 2.0)):
            hits = [one.word(0.0, margin, i) in GOOD for i in range(runs)]
            cells += [percent(said, signed=False), share(hits)]
        rows.append(f"| {' | '.join(cells)} |")
    lines = [
        "# What suites say that they can tell",
        "",
        "`python -m benchmarks.power_statements`: what is said to be told, and to fail, in "
        "80 % of runs; the chance that equal models pass; the margin that they are said to be "
        f"shown within in 80 %. {runs} runs a cell with the judge itself, 95 % Wilson intervals.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + "---|" * len(COLUMNS),
        *rows,
        "",
        "## Small banks",
        "",
        '"Not worse" at the margin that 80 % of equal models are shown within: of equal models, '
        "and where the change is as large as the margin, on all pairs or made of rare bad ones.",
        "",
        *small_banks(runs),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=200, help="simulated runs of each cell")
    can_write(parser)
    chosen = parser.parse_args()
    publish(report(chosen.runs), "power_statements.md", chosen.write)


if __name__ == "__main__":
    main()
