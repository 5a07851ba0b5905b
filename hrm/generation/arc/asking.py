"""In which split each task is asked about.

The model sees one grid at a time and knows the task by its puzzle embedding alone. So the embedding of every task that
is asked about must have been trained, and ``train`` holds the demonstrations of *all* tasks, as in the official data
set. What is kept apart are the questions:

============  ======================================================================================
split         holds
============  ======================================================================================
train         the demonstrations of every task, and the questions of the training tasks not named below
calibration   the questions of some training tasks
search        the questions of some other training tasks
test          the questions of the evaluation tasks
============  ======================================================================================

No task is asked about in two splits, and no pair of ``train`` belongs to another task's question, both up to turning,
mirroring and new colours: the few training tasks that share a pair with an evaluation task are left out, and those that
share one with another training task stay in ``train``. (ARC-AGI-1 has two of the former: 40853293 is 070dd51e in other
colours.) Without calibration and search tasks the splits are the official ones, but for those.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hrm.errors import UsageError
from hrm.generation.arc.tasks import pair_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from hrm.generation.arc.tasks import ArcTask

Asked = dict[str, list["ArcTask"]]
"""The tasks by the split that holds their questions."""


def deal_questions(
    training: Sequence[ArcTask],
    evaluation: Sequence[ArcTask],
    held_out: dict[str, int],
    random: np.random.Generator,
) -> Asked:
    """Choose as many training tasks at random for each split of ``held_out`` as it says.

    Returns:
        The tasks of each split that has some, ``train`` first and ``test`` last.

    Raises:
        UsageError: there are not as many training tasks.
    """
    evaluated = frozenset[bytes]().union(*pair_keys(evaluation))
    keyed = [each for each in zip(training, pair_keys(training), strict=True) if evaluated.isdisjoint(each[1])]
    uses = Counter(key for _, keys in keyed for key in keys)
    alone = [task for task, keys in keyed if all(uses[key] == 1 for key in keys)]
    _check_enough(len(alone), held_out)
    drawn = iter([alone[index] for index in random.permutation(len(alone))])
    chosen = {split: [next(drawn) for _ in range(count)] for split, count in held_out.items() if count}
    names = {task.name for tasks in chosen.values() for task in tasks}
    rest = [task for task, _ in keyed if task.name not in names]
    return {"train": rest, **chosen, "test": list(evaluation)}


def _check_enough(tasks: int, held_out: dict[str, int]) -> None:
    wanted = sum(held_out.values())
    if wanted >= tasks:
        raise UsageError(
            f"{wanted:,} tasks cannot be held out for {' and '.join(held_out)}",
            why=f"{tasks:,} training tasks share no pair with another task, and some must be left to train on",
            hint=f"hold out fewer than {tasks:,} in all",
        )
