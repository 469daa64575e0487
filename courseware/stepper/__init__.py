"""Step through a few lines of code: what each of them changed, as it really ran."""

from courseware.stepper.record import record
from courseware.stepper.show import step_through

__all__ = ["record", "step_through"]
