import numpy as np
from arc_tasks import grid, random_grid, random_task, read_canvas, undo
from hypothesis import given
from hypothesis import strategies as st

from hrm.generation.arc.canvas import place
from hrm.generation.arc.copies import augmented, copy_name, draw_copies
from hrm.generation.arc.tasks import ArcTask, Pair, pair_key

seeds = st.integers(0, 2**32 - 1)


def copies_of(task, count, seed=0):
    return draw_copies(task, count, np.random.default_rng(seed))


@given(seeds)
def test_a_pairs_key_is_that_of_all_its_copies(seed):
    task = random_task(seed)
    for copy in copies_of(task, 10, seed):
        assert [pair_key(augmented(pair, copy)) for pair in task.pairs] == [pair_key(pair) for pair in task.pairs]


def test_other_pairs_have_other_keys():
    one, other = grid([0, 1, 2]), grid([1, 1, 2])
    pairs = [
        Pair(one, other),
        Pair(other, one),
        Pair(one, one),
        Pair(one, grid([1, 2, 2])),
        Pair(one, grid([1, 1], [2, 0])),
    ]
    pairs.append(Pair(grid([3, 1, 2]), other))  # black is not just a colour
    assert len({pair_key(pair) for pair in pairs}) == len(pairs)


@given(seeds, st.integers(0, 20))
def test_copies_are_different_and_the_task_comes_first(seed, count):
    task = random_task(seed)
    copies = copies_of(task, count, seed)
    assert len(copies) <= 1 + count
    assert copies[0].tolist() == [0, *range(10)]
    assert (copies[:, 1] == 0).all()
    assert (np.sort(copies[:, 1:], axis=1) == np.arange(10)).all()
    images = {b"".join(each.tobytes() for pair in task.pairs for each in augmented(pair, copy)) for copy in copies}
    assert len(images) == len(copies)


def test_as_many_copies_as_wanted_are_found_where_there_are_enough():
    assert len(copies_of(random_task(0), 100)) == 101


def test_a_task_that_cannot_change_has_no_copies():
    black = Pair(grid([0]), grid([0]))
    assert len(copies_of(ArcTask("00000000", (black,), (black,)), 50)) == 1


@given(seeds)
def test_a_copy_can_be_undone_by_its_name(seed):
    task = random_task(seed)
    for copy in copies_of(task, 20, seed):
        name = copy_name(task, copy)
        for pair in task.pairs:
            assert (undo(augmented(pair, copy).input, name) == pair.input).all()
    assert copy_name(task, copies_of(task, 0)[0]) == "0000abcd"


@given(seeds, st.booleans())
def test_a_canvas_holds_both_grids_at_one_place(seed, moved):
    random = np.random.default_rng(seed)
    pair = Pair(random_grid(random), random_grid(random))
    placed = place(pair, random if moved else None)
    (top, left, one), (other_top, other_left, other) = map(read_canvas, placed)
    assert (one == pair.input).all()
    assert (other == pair.output).all()
    assert (top, left) == (other_top, other_left)
    assert moved or (top, left) == (0, 0)


def test_grids_end_below_and_to_the_right():
    tokens, _ = place(Pair(grid([0, 9], [1, 2]), grid([0])), None)
    assert tokens.reshape(30, 30)[:4, :4].tolist() == [[2, 11, 1, 0], [3, 4, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert tokens.dtype == np.uint8


def test_a_full_canvas_has_no_end():
    full = np.zeros((30, 30), dtype=np.uint8)
    tokens, _ = place(Pair(full, grid([0])), np.random.default_rng(0))
    assert (tokens == 2).all()


def test_grids_may_lie_anywhere():
    random = np.random.default_rng(0)
    pair = Pair(np.zeros((28, 29), dtype=np.uint8), grid([1, 2]))
    places = {read_canvas(place(pair, random)[1])[:2] for _ in range(100)}
    assert len(places) == 3 * 2
