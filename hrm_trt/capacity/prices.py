"""What an hour of a machine costs: a dated list, to be replaced by one's own."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field, ValidationError

from hrm.documents import Document
from hrm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXAMPLE = Path(__file__).with_name("example_prices.yaml")
"""Round numbers that nobody asks for."""
_FORM = f"{EXAMPLE} shows its form"


class Price(Document):
    """One kind of machine, for one replica each."""

    name: str
    target: str
    """As the benchmark's rows have it: cpu, or an SM."""
    per_hour: float = Field(gt=0, allow_inf_nan=False)
    machine: dict[str, str | int | float] = Field(default_factory=dict)
    """What the benchmark's machine must be to be this kind: numbers are equal, words are contained; all if empty."""
    memory_gib: float | None = Field(None, gt=0, allow_inf_nan=False)
    """What a replica may take of it; not looked at where it is not given."""

    def fits(self, target: str, machine: Mapping[str, Any]) -> bool:
        """Whether rows that were measured for ``target`` on ``machine`` tell what this kind does."""
        return target == self.target and all(_same(wanted, machine.get(key)) for key, wanted in self.machine.items())


class Prices(Document):
    """A price list."""

    format_version: Literal[1] = 1
    date: datetime.date
    """Of what is in it."""
    currency: str
    source: str
    """Where it is from, in words."""
    example: bool = False
    """Whether nobody should take it for prices."""
    machines: tuple[Price, ...] = Field(min_length=1)

    def find(self, target: str, machine: Mapping[str, Any]) -> Price | None:
        """The kind that fits and asks the most of the benchmark's machine, the first of them; None if none fits."""
        fitting = [price for price in self.machines if price.fits(target, machine)]
        return max(fitting, key=lambda price: len(price.machine), default=None)


def read_prices(path: Path) -> Prices:
    """The price list in a YAML file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        return Prices.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the price list {path}", why=str(error).replace("\n", " "), hint=_FORM) from error
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
        raise UsageError(f"{path} is not a price list", why=why, hint=_FORM) from error


def check_priced(prices: Prices, path: Path, targets: Iterable[str], machine: Mapping[str, Any]) -> None:
    """See that the list in ``path`` has a machine for one of ``targets`` at least, like the benchmark's ``machine``.

    Raises:
        UsageError: it has none.
    """
    asked = tuple(dict.fromkeys(targets))
    if any(prices.find(target, machine) is not None for target in asked):
        return
    has = ", ".join(f"{price.name} ({price.target})" for price in prices.machines)
    like = f" like the benchmark's ({machine['processor']})" if "processor" in machine else ""
    raise UsageError(
        f"no price for {', '.join(asked)} in {path}",
        why=f"of {prices.date} it has {has}, and no machine{like} for what was measured",
        hint=f"add one; {_FORM}; and pass it with --prices FILE.yaml",
    )


def _same(wanted: str | float, found: object) -> bool:
    if isinstance(wanted, str):
        return wanted.casefold() in str(found).casefold()
    return wanted == found
