from itertools import islice

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.data.dataset import read_split
from hrm.data.tasks import task_of
from hrm.errors import UsageError
from hrm.generation.dihedral import SYMMETRIES, transform
from hrm.generation.maze.field import draw_field
from hrm.generation.maze.making import MazeOptions, draw_mazes, make
from hrm.generation.maze.tokens import GOAL, OPEN, START, WALL, WAY, symmetry_key
from hrm.generation.writing import write_dataset


def silent(what, done, total):
    pass


def graph_of(inputs):
    """The open cells of a maze [S] as a graph, its start and its goal."""
    side = int(len(inputs) ** 0.5)
    grid = inputs.reshape(side, side)
    graph = networkx.grid_2d_graph(side, side)
    graph.remove_nodes_from([tuple(cell) for cell in np.argwhere(grid == WALL).tolist()])
    start, goal = (tuple(np.argwhere(grid == token)[0].tolist()) for token in (START, GOAL))
    return graph, start, goal


def assert_only_way_is_marked(inputs, labels, least_path):
    """Check a maze [S] with another library's search."""
    side = int(len(inputs) ** 0.5)
    ways = list(islice(networkx.all_shortest_paths(*graph_of(inputs)), 2))
    assert len(ways) == 1
    assert len(ways[0]) - 1 >= least_path
    marked = inputs.reshape(side, side).copy()
    for cell in ways[0][1:-1]:
        marked[cell] = WAY
    assert (marked.ravel() == labels).all()


@settings(max_examples=25, deadline=None)
@given(side=st.integers(5, 14), seed=st.integers(0, 2**32 - 1), share=st.floats(0.02, 0.15))
def test_the_way_is_the_only_shortest_one(side, seed, share):
    least_path = max(1, int(share * side * side))
    for maze in islice(draw_mazes(side, least_path, np.random.default_rng(seed)), 3):
        assert_only_way_is_marked(maze.inputs, maze.labels, least_path)


def test_official_sizes_can_be_drawn():
    for maze in islice(draw_mazes(30, 110, np.random.default_rng(0)), 8):
        assert_only_way_is_marked(maze.inputs, maze.labels, 110)


def test_mazes_have_loops_more_often_than_not():
    graphs = [graph_of(maze.inputs)[0] for maze in islice(draw_mazes(20, 48, np.random.default_rng(0)), 20)]
    parts = [networkx.number_connected_components(graph) for graph in graphs]
    loops = [graph.size() - graph.order() + part for graph, part in zip(graphs, parts, strict=True)]
    assert np.median(loops) >= 5


def test_both_kinds_of_fields_come_up():
    random = np.random.default_rng(0)
    fields = [draw_field(20, 48, random) for _ in range(40)]
    shares = [sum(field.is_open) / len(field.is_open) for field in fields if field is not None]
    assert min(shares) < 0.62 < max(shares)


@given(st.integers(0, 2**32 - 1))
def test_a_key_is_the_same_for_all_images_and_differs_for_others(seed):
    random = np.random.default_rng(seed)
    grid = random.integers(1, 3, (6, 6)).astype(np.uint8)
    grid[0, 1], grid[3, 3] = START, GOAL
    assert {symmetry_key(transform(grid, symmetry).ravel()) for symmetry in range(SYMMETRIES)} == {
        symmetry_key(grid.ravel())
    }
    other = grid.copy()
    other[5, 5] = WALL + OPEN - other[5, 5]
    assert symmetry_key(other.ravel()) != symmetry_key(grid.ravel())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mazes") / "maze-8x8"
    options = MazeOptions(train=6, calibration=2, search=3, test=4, side=8, augment=True, seed=5)
    return directory, write_dataset(directory, make(options, silent))


def test_a_data_set_is_read_back(dataset):
    directory, record = dataset
    assert {split: counts.puzzles for split, counts in record.splits.items()} == {
        "test": 4,
        "search": 3,
        "calibration": 2,
        "train": 48,
    }
    for split in record.splits:
        puzzles = read_split(directory, split)
        assert task_of(puzzles.info.vocab_size, puzzles.info.seq_len).name == "maze-8x8"
        for inputs, labels in zip(puzzles.inputs, puzzles.labels, strict=True):
            assert_only_way_is_marked(inputs, labels, 7)
    assert (directory / "identifiers.json").read_text().split() == ["[", '"<blank>"', "]"]


def test_no_maze_comes_twice_and_copies_share_a_group(dataset):
    directory, record = dataset
    keys = []
    for split in record.splits:
        puzzles = read_split(directory, split)
        for group in np.unique(puzzles.groups):
            members = {symmetry_key(inputs.astype(np.uint8)) for inputs in puzzles.inputs[puzzles.groups == group]}
            assert len(members) == 1
            keys += members
    assert len(set(keys)) == len(keys) == 15


def test_training_mazes_are_followed_by_their_images(dataset):
    puzzles = read_split(dataset[0], "train")
    grids = puzzles.labels[puzzles.groups == 2].reshape(-1, 8, 8)
    assert [grid.tolist() for grid in grids] == [transform(grids[0], symmetry).tolist() for symmetry in range(8)]


def test_the_same_seed_makes_the_same_data_set(dataset, tmp_path):
    options = MazeOptions(train=6, calibration=2, search=3, test=4, side=8, augment=True, seed=5)
    assert write_dataset(tmp_path / "again", make(options, silent)) == dataset[1]


def test_more_training_mazes_leave_the_test_split_as_it_was(dataset, tmp_path):
    options = MazeOptions(train=20, calibration=2, search=3, test=4, side=8, seed=5)
    more = write_dataset(tmp_path / "more", make(options, silent))
    assert [more.splits[split] == dataset[1].splits[split] for split in ("test", "search", "calibration", "train")] == [
        True,
        True,
        True,
        False,
    ]


def test_progress_counts_mazes():
    seen = []
    make(MazeOptions(train=3, calibration=0, search=0, test=2, side=6), lambda *step: seen.append(step))
    assert seen == [
        ("test puzzles", 1, 2),
        ("test puzzles", 2, 2),
        ("train puzzles", 1, 3),
        ("train puzzles", 2, 3),
        ("train puzzles", 3, 3),
    ]


@pytest.mark.parametrize("side", [-1, 0, 4])
def test_sides_that_are_too_small_are_refused(side):
    with pytest.raises(UsageError, match="there are no data sets") as caught:
        MazeOptions(train=1, calibration=0, search=0, test=0, side=side)
    assert "Sudoku" in caught.value.why


@pytest.mark.parametrize("least_path", [-3, 0, 75])
def test_lengths_that_no_way_can_have_are_refused_at_once(least_path):
    with pytest.raises(UsageError, match=f"cannot have {least_path} steps") as caught:
        MazeOptions(train=1, calibration=0, search=0, test=0, side=10, least_path=least_path)
    assert "about 12" in caught.value.hint


def test_a_length_out_of_reach_is_refused_in_the_end():
    options = MazeOptions(train=1, calibration=0, search=0, test=0, side=8, least_path=47)
    with pytest.raises(UsageError, match="47 steps is out of reach"):
        make(options, silent)


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match="seed cannot be -1"):
        MazeOptions(train=1, calibration=0, search=0, test=0, seed=-1)
