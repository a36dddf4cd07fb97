"""Lines in, lines with spans out: in every form, and nothing else is changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.errors import CorpusError
from taolu.tasks.tag_lines import FORMS, Item, Rows, detect_form, read_items, writer_of
from taolu.text.corpus import Corpus
from taolu.text.layouts import Line, numbered_lines
from taolu.text.schemes import BIO, BMES, BMESO
from taolu.text.spans import Span, word_spans
from taolu.text.tagged import read_tagged


def lines_of(text, path="a.txt"):
    rows = text.removesuffix("\n").split("\n")
    return [Line(path, number, row.removesuffix("\r")) for number, row in enumerate(rows, 1)]


def texts_of(text, form):
    return [item.text for item in read_items(lines_of(text), form)]


def written(text, form, to, spans, covers=False, scheme=BMESO):
    items = list(read_items(lines_of(text), form))
    write = writer_of(to, covers, scheme)
    return "".join(write(item, found) for item, found in zip(items, spans, strict=True))


# Which form it is


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", "我在北京"),
        ("text", ""),
        ("text", "\n \n"),
        ("text", "一\n第一章 风雪\n话说天下大势，分久必合。"),
        ("text", "序\n\n话说天下大势，分久必合。\n合久必分。"),
        ("text", "I O U"),
        ("text", "I Own a house"),
        ("text", "I see\nA bird"),
        ("text", "Vitamin B"),
        ("text", "轰炸机 B-52"),
        ("text", "https://example.org/O"),
        ("text", "12345"),
        ("text", "1\t今天天气好\n0\t今天天气不好"),
        ("text", "体育\t今天北京队赢了"),
        ("text", "\t话说天下大势"),
        ("text", "我 爱 北京\n他 也 爱"),
        ("text", "我/r 爱/v 北京/ns"),
        ("text", "好"),
        ("text", "I"),
        ("text", "{这是} 一本书"),
        ("text", "[1] 见上文"),
        ("text", "# 标题\n正文在这里"),
        ("json", '{"text": "我"}'),
        ("json", '  { "text": "我" }'),
        ("json", "{}"),
        ("json", '\n\n{"text": "我"}'),
        ("json", '[{"text": "我"}]'),
        ("json", '{"text": '),
        ("columns", "我\n在\n北\n京\n\n好"),
        ("columns", "我\n在\n2021\n年"),
        ("columns", "O\nO\nO"),
        ("columns", "1\n2\n3"),
        ("columns", "我 O"),
        ("columns", "在 O\n北 B-LOC\n京 I-LOC"),
        ("columns", "在 S\n北 B\n京 E"),
        ("columns", "在\tO"),
        ("columns", "在\tP\n北\tNR\n京\tNR"),
        ("columns", "EU NNP B-NP B-ORG\nrejects VBZ B-VP O"),
        ("columns", "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O"),
        ("columns", "EU\tB-ORG"),
        ("columns", "# text = 在北京\n在\tO\n北\tB-LOC\n京\tI-LOC"),
        ("columns", "SOCCER NN O\n- : O\nJAPAN NNP O"),
        ("columns", "  O\n\u3000 O"),
    ],
)
def test_forms_that_users_have(form, text):
    assert detect_form(lines_of(text)) == form
    assert detect_form(lines_of(text.replace("\n", "\r\n"))) == form


def test_a_file_named_json_is_json():
    assert detect_form(lines_of("[", path="a.json")) == "json"
    assert detect_form(lines_of("{", path="a.jsonl.gz")) == "json"
    assert detect_form(lines_of("[", path="a.txt")) == "text"


def test_only_the_first_lines_decide():
    def lines():
        yield from lines_of("我\n" * 50)
        raise AssertionError("the 51st line was looked at")

    assert detect_form(lines()) == "columns"


# Text


def test_a_line_is_a_text_and_a_blank_one_an_empty_text():
    assert texts_of("我爱\n\n 北京 \n", "text") == ["我爱", "", " 北京 "]
    spans = [[Span(0, 1), Span(1, 2)], [], [Span(1, 3)]]
    assert written("我爱\r\n\n 北京 \n", "text", "text", spans, covers=True) == "我 爱\n\n北京\n"


def test_words_with_labels_show_them():
    found = written("我爱", "text", "text", [[Span(0, 1, "PN"), Span(1, 2, "VV")]], covers=True)
    assert found == "我_PN 爱_VV\n"


WORDS = st.lists(st.text("我爱北京a1，", min_size=1, max_size=3), max_size=6)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_words_written_are_read_again(sentences):
    text = "".join("".join(words) + "\n" for words in sentences)
    spans = [word_spans(words) for words in sentences]
    out = written(text, "text", "text", spans, covers=True)
    assert out == "".join(" ".join(words) + "\n" for words in sentences)
    if any(sentences):
        out = written(text, "text", "columns", spans, covers=True, scheme=BMES)
        again = read_tagged(Corpus.from_lines(out.split("\n")))
        assert [(s.text, list(s.spans)) for s in again] == [
            ("".join(words), found) for words, found in zip(sentences, spans, strict=True) if words
        ]


def test_entities_are_no_text():
    with pytest.raises(ValueError, match=r"json or columns for entities. Received: 'text'"):
        writer_of("text", False, BIO)


@pytest.mark.parametrize("form", ["xml", "", "Text"])
def test_there_are_no_other_forms(form):
    with pytest.raises(ValueError, match=f"one of text, columns, json. Received: '{form}'"):
        read_items([], form)
    with pytest.raises(ValueError, match=f"one of text, columns, json. Received: '{form}'"):
        writer_of(form, True, BIO)


# Columns

LOC = [[Span(1, 3, "LOC")], []]


@pytest.mark.parametrize("last", ["\n", "", "\n\n\n"])
@pytest.mark.parametrize("gap", [" ", "\t", "   "])
def test_columns_come_out_with_one_more(gap, last):
    text = "在\n北\n京\n\n好".replace("\n", f"{gap}x{gap}O\n").replace(f"\n{gap}x{gap}O", "\n")
    out = written(text + f"{gap}x{gap}O{last}", "columns", "columns", LOC)
    sep = "\t" if gap == "\t" else " "
    rows = [f"在{gap}x{gap}O{sep}O", f"北{gap}x{gap}O{sep}B-LOC", f"京{gap}x{gap}O{sep}E-LOC"]
    assert out == "\n".join([*rows, "", f"好{gap}x{gap}O{sep}O", "", ""])
    again = read_tagged(Corpus.from_lines(out.split("\n")))
    assert [(s.text, list(s.spans)) for s in again] == [("在北京", LOC[0]), ("好", [])]


@pytest.mark.parametrize(
    "text",
    [
        "在\n北\n京\n\n好",
        "在\r\n北\r\n京\r\n\r\n好\r\n",
        "\n\n在\n北\n京\n \n\n好\n\n\n",
        "-DOCSTART- O\n\n在 O\n北 O\n京 O\n-DOCSTART-\n好 O\n",
        "# text = 在北京\n在\tO\n北\tO\n京\tO\n\n# text = 好\n# id = 2\n好\tO\n",
    ],
    ids=["plain", "CRLF", "blank lines", "documents", "comments"],
)
def test_how_columns_differ_changes_nothing(text):
    assert texts_of(text, "columns") == ["在北京", "好"]
    out = written(text, "columns", "columns", LOC)
    assert [row.split()[-1] for row in out.split("\n") if row] == ["O", "B-LOC", "E-LOC", "O"]


def test_a_hash_is_a_character_where_columns_have_spaces():
    assert texts_of("# O\n\n# O\n好 O", "columns") == ["#", "#好"]


def test_whitespace_is_a_character_too():
    text = "a O\n  O\n\u3000 O\nb O\n"
    assert texts_of(text, "columns") == ["a \u3000b"]
    assert texts_of(text.replace(" O", "\tO"), "columns") == ["a \u3000b"]
    out = written(text, "columns", "columns", [[Span(0, 1), Span(3, 4)]], covers=True, scheme=BMES)
    assert out == "a O S\n  O S\n\u3000 O S\nb O S\n\n"


def test_tokens_of_several_characters_take_the_tag_of_what_touches_them():
    text = "年\n2021\n月\n"
    for span, tags in [
        (Span(0, 1, "A"), ["S-A", "O", "O"]),
        (Span(2, 3, "A"), ["O", "S-A", "O"]),
        (Span(4, 6, "A"), ["O", "B-A", "E-A"]),
    ]:
        out = written(text, "columns", "columns", [[span]])
        assert [row.split()[1] for row in out.split("\n") if row] == tags
    # Two words in one token: the first takes it.
    words = [[Span(0, 2), Span(2, 3), Span(3, 6)]]
    out = written(text, "columns", "columns", words, covers=True, scheme=BMES)
    assert out == "年 B\n2021 E\n月 S\n\n"


def test_english_words_stand_apart_in_the_text():
    text = "EU NNP O\nrejects VBZ O\nGerman JJ O\n\nYork NNP O\n! . O\n"
    assert texts_of(text, "columns") == ["EU rejects German", "York!"]
    spans = [[Span(0, 2, "ORG"), Span(2, 3, "X"), Span(11, 17, "MISC")], [Span(3, 5, "LOC")]]
    out = written(text, "columns", "columns", spans, scheme=BIO)
    tags = [row.split()[-1] for row in out.split("\n") if row]
    assert tags == ["B-ORG", "O", "B-MISC", "B-LOC", "I-LOC"]
    again = read_tagged(Corpus.from_lines(out.split("\n")))
    assert next(iter(again)).text == "EU rejects German"


def test_of_nested_spans_the_longest_is_tagged():
    spans = [[Span(0, 2, "LOC"), Span(0, 4, "ORG"), Span(3, 5, "X")]]
    out = written("北京大学在", "text", "columns", spans, scheme=BIO)
    tags = [row.split()[1] for row in out.split("\n") if row]
    assert tags == ["B-ORG", "I-ORG", "I-ORG", "I-ORG", "O"]


@given(st.text("我a \t\r\n\u3000\u2028，", max_size=12), st.data())
def test_any_text_can_be_written_as_columns(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    spans = [Span(i, j, "X") for i, j in zip(cuts[::2], cuts[1::2], strict=False)]
    out = writer_of("columns", False, BIO)(Item(text, Line("a", 1, "")), spans)
    rows = out.split("\n")
    assert len(rows) == len(text) + 2
    assert rows[-2:] == ["", ""]
    plain = text.replace("\t", " ").replace("\n", " ")
    assert [row[0] for row in rows if row] == list(plain)
    if text:
        # Characters such as \r and U+2028 end no line, so all of it is read again.
        (again,) = read_tagged(Corpus.from_lines(rows))
        assert (again.text, list(again.spans)) == (plain, spans)


def test_files_end_texts():
    lines = [Line("a", 1, "北"), Line("b", 1, "京"), Line("b", 2, "好")]
    items = list(read_items(lines, "columns"))
    assert [(item.text, item.line.path) for item in items] == [("北", "a"), ("京好", "b")]


@given(st.lists(st.text("北aé1", min_size=1, max_size=3), min_size=1, max_size=6), st.data())
def test_every_token_a_span_touches_is_in_it(tokens, data):
    rows = Rows(tokens, [], data.draw(st.sampled_from(["", " "])))
    starts, at = [], 0
    for token in tokens:
        starts.append((at, at + len(token)))
        at += len(token) + len(rows.joiner)
    assert [rows.text[i:j] for i, j in starts] == tokens
    start = data.draw(st.integers(0, len(rows.text) - 1))
    stop = data.draw(st.integers(start + 1, len(rows.text)))
    touched = [n for n, (i, j) in enumerate(starts) if i < stop and j > start]
    wanted = [Span(touched[0], touched[-1] + 1, "X")] if touched else []
    assert rows.spans([Span(start, stop, "X")]) == wanted


# JSON


def test_records_keep_their_other_keys_in_order():
    text = '{"id": 7, "sentence": "我在北京😀", "é": {"a": [1.5, null]}, "entities": "old"}\n\n'
    out = written(text, "json", "json", [[Span(2, 4, "LOC"), Span(4, 5, "")]])
    assert out.count("\n") == 1
    assert "北京😀" in out
    record = json.loads(out)
    assert list(record) == ["id", "sentence", "é", "entities"]
    assert {**record, "entities": 0} == {**json.loads(text), "entities": 0}
    assert record["entities"] == [
        {"start": 2, "end": 4, "label": "LOC", "text": "北京"},
        {"start": 4, "end": 5, "text": "😀"},
    ]
    again = read_tagged(Corpus.from_lines([written(text, "json", "json", LOC[:1]).strip()]))
    assert [list(s.spans) for s in again] == LOC[:1]


def test_text_and_columns_become_records():
    wanted = {
        "text": "在北京",
        "entities": [{"start": 1, "end": 3, "label": "LOC", "text": "北京"}],
    }
    assert json.loads(written("在北京", "text", "json", LOC[:1])) == wanted
    assert json.loads(written("在 O\n北 O\n京 O\n", "columns", "json", LOC[:1])) == wanted


def test_records_become_text_and_columns():
    text = '{"text": "在北\\n京"}'
    words = [[Span(0, 1), Span(1, 2), Span(3, 4)]]
    assert written(text, "json", "text", words, covers=True) == "在 北 京\n"
    out = written(text, "json", "columns", words, covers=True, scheme=BMES)
    assert out == "在 S\n北 S\n  S\n京 S\n\n"


def test_half_characters_outside_of_the_text_stay_escapes():
    out = written('{"text": "好", "x": "\\ud800"}', "json", "json", [[]])
    out.encode()
    assert json.loads(out) == {"text": "好", "x": "\ud800", "entities": []}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"text": "我"}\n{"text": ', "a.txt, line 2: not valid JSON"),
        ('{"text": "我"}\n\n[1]', "a.txt, line 3: each line must hold one JSON object; `jq"),
        ('[{"text": "我"}]', "a.txt, line 1: each line must hold one JSON object; `jq"),
        ("{}", "a.txt, line 1: the record has no text in text, sentence, content."),
        ('{"text": ["我"]}', "a.txt, line 1: the record has no text in"),
        ('{"text": "\\ud800"}', "a.txt, line 1: the text holds one half of a character"),
        ("{" * 5, "a.txt, line 1: not valid JSON"),
    ],
)
def test_records_that_are_refused_name_the_line(text, wanted):
    with pytest.raises(CorpusError) as caught:
        texts_of(text, "json")
    assert str(caught.value).startswith(wanted)
    assert "Received: " in str(caught.value)


def test_columns_that_are_refused_name_the_line():
    with pytest.raises(CorpusError, match=r"a.txt, line 3: there is no character in the first"):
        texts_of("我\tO\n\n\tO\n", "columns")


@pytest.mark.parametrize("form", FORMS)
def test_no_lines_no_texts(form):
    assert list(read_items([], form)) == []


def test_lines_of_a_corpus_are_what_is_read(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeff我\r\n在\r\n".encode())
    lines = list(numbered_lines(Corpus.of(tmp_path / "a.txt")))
    assert detect_form(lines) == "columns"
    assert [item.text for item in read_items(lines, "columns")] == ["我在"]
