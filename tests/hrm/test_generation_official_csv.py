import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.errors import DatasetError
from hrm.generation.official_csv import read_rows

HEADER = "source,question,answer,rating\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "puzzles.csv"


def test_rows_come_with_their_lines(file):
    file.write_text(HEADER + "a,1.,12,3\n" + 'b," #","#o",0.5\n')
    assert [tuple(row) for row in read_rows(file)] == [(2, "1.", "12", 3.0), (3, " #", "#o", 0.5)]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (HEADER + "a,1,1,0\na,1,1\n", 3, "it has 3 columns, not 4"),
        (HEADER + "a,1,1,0,x\n", 2, "it has 5 columns"),
        (HEADER + "\n", 2, "it has 0 columns"),
        (HEADER + "a,1,1,hard\n", 2, "its rating is 'hard', not a number"),
        (HEADER + 'a,1,1,0\na,"1"x,1,0\n', 3, "it is not CSV in UTF-8"),
        (HEADER + 'a,"1,1,0\n', 2, "it is not CSV in UTF-8"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(file, text, line, why):
    file.write_text(text)
    with pytest.raises(DatasetError) as caught:
        list(read_rows(file))
    assert caught.value.what.startswith(f"line {line} of {file}")
    assert caught.value.why.startswith(why)


@pytest.mark.parametrize("text", ["", "a,1,1,0\n", "question,answer\n"])
def test_a_file_without_the_names_of_its_columns_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(DatasetError, match="names of its columns"):
        list(read_rows(file))


def test_a_file_without_puzzles_is_refused(file):
    file.write_text(HEADER)
    with pytest.raises(DatasetError, match="holds no puzzle"):
        list(read_rows(file))


def test_a_missing_file_is_refused(file):
    with pytest.raises(DatasetError, match="cannot read"):
        list(read_rows(file))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("csv") / "puzzles.csv"
    path.write_bytes(HEADER.encode() + data)
    try:
        rows = list(read_rows(path))
    except DatasetError:
        return
    assert rows
