"""How well the gates find what is wrong in a larger simulated company: `python tests/bench/quality_truth.py 0.2 5`.

Prints precision and recall by rule over all CRMs, as Markdown; arguments are the scale, the seed and the share of dirt.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from planted import MONDAY, STATISTICAL, precision, recall, scores, serve_and_gate, table

from connectors.sandbox.simulation import Simulation
from orchestration.settings import STREAMS


def main(scale: str = "0.2", seed: str = "5", dirt: str = "0.1") -> None:
    """Pull, gate and compare."""
    simulation = Simulation(seed=int(seed), scale=float(scale), opened_at=MONDAY, dirt=float(dirt))
    with TemporaryDirectory() as folder:
        home = Path(folder)
        serve_and_gate(simulation, tuple(STREAMS), home)
        scored = scores(simulation, tuple(STREAMS), home)
    print("\n".join(table(scored)))
    defined = [score for score in scored if score.rule not in STATISTICAL]
    print(f"\nRules that say what is wrong: precision {precision(defined):.2%}, recall {recall(defined):.2%}")
    for score in scored:
        if score.missed or score.invented:
            print(
                f"{score.crm} {score.stream} {score.rule}: missed {sorted(score.missed)} found {sorted(score.invented)}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
