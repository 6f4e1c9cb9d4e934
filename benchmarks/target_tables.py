"""Which targets were reached, as Markdown."""

from collections.abc import Callable, Iterable, Sequence

from . import bare_products, report, targets
from .products import Products
from .stored import Run
from .targets import MET, From, Rule, Verdict
from .threads import Speedups
from .workloads import Mode


def paragraphs(runs: Sequence[Run], shares: Sequence[Products], speedups: Sequence[Speedups]) -> Iterable[str]:
    """What was reached on one machine, as Markdown.

    Args:
        runs: all of that machine, as the other two.
        shares: of the products.
        speedups: by a second thread.
    """
    yield (
        f"Set on {targets.MACHINE}. *Most* is the ratio that a step at this machine's measured limit would have, and *needs* "
        f"the share of that limit that the target asks for: above 100 % the target is out of reach here. What comes on top of "
        f"the limit is a call, where the results have its time, and in training torch's autograd, as measured for one operator "
        f"without arithmetic. *By torch's products* is the ratio of a step that takes besides this only as long as torch takes "
        f"for the step's matrix products ({bare_products.LEAST_ROWS} rows and more)."
    )
    rows = []
    for run in targets.plain(runs):
        for mode in (Mode.INFERENCE, Mode.TRAINING):
            rows += [
                _target_row(verdict, f"{verdict.case} {mode.value}{run.memory_suffix}") for verdict in targets.ratios(run, mode)
            ]
    if rows:
        yield report.markdown(["case", "wanted", "reached", "by torch's products", "most", "needs", ""], rows)
    of_best_level = [found for found in shares if not found.level]
    yield report.markdown(
        ["rule", "wanted", "met in", "", "elsewhere"],
        [
            *_rule_rows(targets.SHARE_RULES, of_best_level, "{:.0%}".format),
            *_rule_rows(targets.RULES, [runs], "{:.2f}".format),
            *_rule_rows(targets.THREAD_RULES, speedups, "{:.2f}".format),
        ],
    )


def _rule_rows(rules: Iterable[Rule[From]], found: Sequence[From], show: Callable[[float], str]) -> list[list[str]]:
    return [_rule_row(rule.about, [verdict for one in found for verdict in rule.verdicts(one)], show) for rule in rules]


def _target_row(verdict: Verdict, name: str) -> list[str]:
    most = "" if verdict.most is None else report.three_digits(verdict.most)
    by_products = "" if verdict.by_products is None else f"{verdict.by_products:.2f}"
    needs = "" if verdict.most is None else f"{verdict.wanted / verdict.most:.0%}"
    return [name, f"{verdict.wanted:g}", f"{verdict.reached:.2f}", by_products, most, needs, verdict.word]


def _rule_row(about: str, verdicts: Sequence[Verdict], show: Callable[[float], str]) -> list[str]:
    if not verdicts:
        return [about, "", "", "not measured", ""]
    others = [verdict for verdict in verdicts if verdict.word != MET]
    names = [
        f"{verdict.case} {show(verdict.reached)}" + (f" ({verdict.word})" if verdict.word == targets.OUT_OF_REACH else "")
        for verdict in others
    ]
    words = {verdict.word for verdict in others}
    word = MET if not words else targets.MISSED if targets.MISSED in words else targets.OUT_OF_REACH
    return [about, show(verdicts[0].wanted), f"{len(verdicts) - len(others)} of {len(verdicts)}", word, "; ".join(names)]
