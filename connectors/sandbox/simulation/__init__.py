"""A company of any size through the years: Halden Robotics on four CRMs, the same every time for a seed.

`Simulation` is the world that the sandbox serves; `write` and `write_truth` put it, and the truth about it, into files.
"""

from connectors.sandbox.simulation.dirty import DirtyRecord, dirty_records
from connectors.sandbox.simulation.files import write
from connectors.sandbox.simulation.simulation import Simulation
from connectors.sandbox.simulation.truth import write_truth

__all__ = ["DirtyRecord", "Simulation", "dirty_records", "write", "write_truth"]
