import pytest

from jobs.catalogues.tables import TableForm, first_spreadsheet_error, read_header, read_table
from shardwriter.errors import ConfigError

COMMA = TableForm(columns=("name", "labels"))
TAB = TableForm(columns=("id", "name"), delimiter="\t", is_quoted=False)
SPACED = TableForm(columns=("id", "text"), has_header=False, num_comment_lines=2, skips_space=True)
STRIPPED = TableForm(columns=("VoxCeleb2 ID", "Set"), strips=True)


def rows_of(data: bytes, form: TableForm) -> list[dict[str, str]]:
    return [row.values for row in read_table(data, form, where="t.csv")]


def test_values_come_by_column_with_their_line() -> None:
    data = b'name,labels\n1,"a,b"\n2,c\n'
    rows = list(read_table(data, COMMA, where="t.csv"))
    assert [(row.line, row["name"], row["labels"]) for row in rows] == [
        (2, "1", "a,b"),
        (3, "2", "c"),
    ]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_line_ends_and_bom_don_t_matter(newline: bytes, bom: bytes, end: bytes) -> None:
    data = bom + (b"id\tname\nid1\tA.J._Buckley" + end).replace(b"\n", newline)
    assert rows_of(data, TAB) == [{"id": "id1", "name": "A.J._Buckley"}]


def test_comment_lines_are_passed_over_and_counted() -> None:
    data = b'# one "\n# two\nabc, "x,y"\nd, z\n'
    rows = list(read_table(data, SPACED, where="t.csv"))
    assert [(row.line, row["text"]) for row in rows] == [(3, "x,y"), (4, "z")]


def test_quotes_are_text_where_the_form_has_none() -> None:
    assert rows_of(b'id\tname\n1\t"x\n', TAB) == [{"id": "1", "name": '"x'}]


def test_spaces_are_left_out_only_where_they_are_part_of_the_form() -> None:
    data = b"VoxCeleb2 ID ,Set \r\nid00012 ,dev \r\n"
    assert rows_of(data, STRIPPED) == [{"VoxCeleb2 ID": "id00012", "Set": "dev"}]
    plain = TableForm(columns=("VoxCeleb2 ID", "Set"))
    with pytest.raises(ConfigError, match="got VoxCeleb2 ID ,Set ; take the file as published"):
        rows_of(data, plain)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "t.csv: expected the columns name,labels, got nothing"),
        (b"name;labels\n1;a\n", "t.csv: expected the columns name,labels, got name;labels"),
        (b"labels,name\n", "got labels,name"),
        (b"name,labels\n1\n", "t.csv line 2: expected 2 columns, got 1"),
        (b"name,labels\n1,a,b,c\n", "line 2: expected 2 columns, got 4: quotes are missing"),
        (b"name,labels\n1,a,,\n", "line 2: .*, the last 2 empty: a spreadsheet saved this copy"),
        (b"name,labels\n1,a\n#NAME?,b\n", r"line 3: column name is '#NAME\?': a spreadsheet"),
        (b"name,labels\n1,#REF!\n", "line 2: column labels is '#REF!'"),
        (b"name,labels\n1,a\n\n2,b\n", "line 3: is blank, and rows follow"),
        (b"name,labels\n1,\xff\n", "t.csv: is not UTF-8 text"),
        (b'name,labels\n1,"a"b\n', "t.csv up to line 2: "),
        (b'name,labels\n1,"a\n2,b\n', "t.csv up to line 3: unexpected end of data"),
    ],
)
def test_table_that_is_not_as_published_is_refused_by_place(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        rows_of(data, COMMA)
    assert str(caught.value).endswith("; take the file as published")


@pytest.mark.parametrize("value", ["", "x", "-1", "nan", "inf", "1e999"])
def test_number_must_be_finite_and_not_negative(value: str) -> None:
    (row,) = read_table(f"name,labels\n{value},a\n".encode(), COMMA, where="t.csv")
    with pytest.raises(ConfigError, match=r"t\.csv line 2: name is .*, expected a number from 0"):
        row.number("name")


def test_a_label_that_begins_with_a_hash_is_no_spreadsheets_error() -> None:
    assert first_spreadsheet_error(b"a\n#1 hit\n") is None
    assert first_spreadsheet_error(b"a\nb\n#NAME?,#REF!\n") == 3


RAGGED = TableForm(
    columns=("id", "tags"), delimiter="\t", is_quoted=False, has_header=True, is_ragged=True
)


def test_ragged_rows_keep_every_value_of_their_last_column() -> None:
    data = b"id\ttags\r\n1\ta\r\n2\ta\tb\tc\r\n"
    rows = list(read_table(data, RAGGED, where="x"))
    assert [row.rest("tags", RAGGED) for row in rows] == [("a",), ("a", "b", "c")]


def test_ragged_row_without_its_last_column_or_with_an_empty_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="line 2: expected 2 columns, got 1"):
        list(read_table(b"id\ttags\n1\n", RAGGED, where="x"))
    (row,) = read_table(b"id\ttags\n1\ta\t\n", RAGGED, where="x")
    with pytest.raises(ConfigError, match="line 2: tags holds an empty value"):
        row.rest("tags", RAGGED)


@pytest.mark.parametrize("data", [b"a,b\r\n1,2\r\n", b"\xef\xbb\xbfa,b\n", b'"a","b"'])
def test_header_is_read_whatever_the_columns_are(data: bytes) -> None:
    assert read_header(data, TableForm(columns=()), where="x") == ("a", "b")


@pytest.mark.parametrize("data", [b"", b"a,a\n", b"a,\n", b"\xff,b\n", b'"a\n'])
def test_header_without_distinct_names_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="header"):
        read_header(data, TableForm(columns=()), where="x")
