"""Options that take an amount: seconds, units a second."""

import math
from typing import Any

import click


class Amount(click.FloatRange):
    """A finite number within bounds: click's own range takes `nan`, which is not below any bound, and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises BadParameter."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no amount: give a finite number, such as 10.", param, ctx)
        return number
