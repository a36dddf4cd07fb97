"""Labelled sentences from files: every layout gives the same sentences, every fault its line."""

import codecs
import gzip
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.errors import CorpusError
from taolu.text.corpus import Corpus
from taolu.text.layouts import Columns, TreeColumns, Words
from taolu.text.records import Records
from taolu.text.schemes import BILOU, BIO, BIOES, BMES, BMESO, IOB1, SCHEMES
from taolu.text.spans import Span, repaired_spans, spans_of, tags_of
from taolu.text.tagged import detect_layout, read_tagged

SENTENCES = [
    ("彭小军在北京。", (Span(0, 3, "PER"), Span(4, 6, "LOC"))),
    ("好", ()),
    ("上海北京", (Span(0, 2, "LOC"), Span(2, 4, "LOC"))),
]


def columns(sentences, scheme, separator="\t"):
    blocks = [
        "".join(
            f"{character}{separator}{tag}\n"
            for character, tag in zip(text, tags_of(spans, len(text), scheme), strict=True)
        )
        for text, spans in sentences
    ]
    return "\n".join(blocks)


def write(folder, data, name="train.txt"):
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def contents(corpus):
    return [(sentence.text, sentence.spans) for sentence in corpus]


def of_lines(*lines, **options):
    return read_tagged(Corpus.from_lines(lines), **options)


def message(*lines, **options):
    with pytest.raises(CorpusError) as caught:
        of_lines(*lines, **options)
    return str(caught.value)


# Columns


@pytest.mark.parametrize("separator", ["\t", " ", "  "])
@pytest.mark.parametrize("scheme", [BIO, IOB1, BMESO, BIOES, BILOU], ids=lambda s: s.name)
def test_columns_in_every_scheme_are_the_same_sentences(tmp_path, scheme, separator):
    corpus = read_tagged(write(tmp_path, columns(SENTENCES, scheme, separator)))
    assert contents(corpus) == contents(corpus) == SENTENCES, "it can be read again"
    assert corpus.scheme == scheme
    assert corpus.layout == Columns(separator[0], 2)
    assert (len(corpus), corpus.characters) == (3, 12)
    assert corpus.labels == {"LOC": 3, "PER": 1}
    assert [sentence.tags(scheme) for sentence in corpus][1] == ["O"]
    assert [sentence.line for sentence in corpus] == [1, 9, 11]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: codecs.BOM_UTF8 + data,
        lambda data: b"\n\n" + data.replace(b"\n\n", b"\n \n\n\r\n") + b"\n\n\n",
        lambda data: data.rstrip(b"\n"),
        lambda data: data.replace(b"O\n", b"O \t\n"),
        lambda data: b"-DOCSTART- -X-\n\n" + data.replace(b"\n\n", b"\n-DOCSTART-\n"),
        lambda data: data.replace(b"\n\n", b"\n\n# text = \xe5\xa5\xbd\n"),
    ],
    ids=[
        "CRLF",
        "BOM",
        "blank lines",
        "no last line end",
        "blanks at the end",
        "documents",
        "comments",
    ],
)
def test_how_files_differ_changes_nothing(tmp_path, change):
    data = columns(SENTENCES, BIO).encode()
    assert contents(read_tagged(write(tmp_path, change(data)))) == SENTENCES


def test_encodings_and_compression_are_those_of_a_corpus(tmp_path):
    text = columns(SENTENCES, BIO)
    path = write(tmp_path, gzip.compress(text.encode("gb18030")), "train.bio.gz")
    assert contents(read_tagged(path, encoding="gb18030")) == SENTENCES
    path = write(tmp_path, text.encode() + "王 O\n".encode("gb18030"))
    with pytest.raises(CorpusError, match=r"line 15: not valid UTF-8.*gb18030"):
        read_tagged(path)


def test_every_file_begins_a_sentence(tmp_path):
    paths = [write(tmp_path, "好 O\n", name) for name in ("a", "b")]
    corpus = read_tagged(Corpus(tuple(paths)))
    assert [(s.text, s.path, s.line) for s in corpus] == [("好", str(p), 1) for p in paths]


def test_spaces_are_characters_too():
    for corpus in (
        of_lines("a O", "  O", "\u3000 B-X", "b I-X"),
        of_lines("a\tO", " \tO", "\u3000\tB-X", "b\tI-X"),
    ):
        assert contents(corpus) == [("a \u3000b", (Span(2, 4, "X"),))]


def test_words_of_letters_are_joined_by_spaces():
    corpus = of_lines("EU NNP B-ORG", "rejects VBZ O", "New NNP B-LOC", "York NNP I-LOC", ". . O")
    assert contents(corpus) == [("EU rejects New York .", (Span(0, 2, "ORG"), Span(11, 19, "LOC")))]
    assert corpus.characters == len("EU rejects New York .")
    assert next(iter(corpus)).tokens == ("EU", "rejects", "New", "York", ".")
    assert str(corpus.layout) == "3 columns between spaces"


def test_words_of_other_characters_are_joined_by_nothing():
    corpus = of_lines("我\tO", "iPhone\tB-P", "手机\tI-P")
    assert contents(corpus) == [("我iPhone手机", (Span(1, 9, "P"),))]


def test_untyped_tags_are_segmentation():
    corpus = of_lines("我 S", "北 B", "京 E")
    assert corpus.scheme == BMES
    assert contents(corpus) == [("我北京", (Span(0, 1), Span(1, 3)))]


@st.composite
def tagged_lines(draw):
    """Sentences with tags that may break any rule, and the scheme whose letters they have."""
    scheme = draw(st.sampled_from(list(SCHEMES.values())))
    tags = [f"{letter}-X" if letter != "O" else letter for letter in scheme.letters]
    sentence = st.lists(st.sampled_from(tags), min_size=1, max_size=6)
    return scheme, draw(st.lists(sentence, min_size=1, max_size=4))


@given(tagged_lines())
def test_broken_tags_are_repaired_and_counted_right(drawn):
    scheme, sentences = drawn
    lines = [line for tags in sentences for line in (*(f"字\t{tag}" for tag in tags), "")]
    corpus = of_lines(*lines, scheme=scheme, repair=True)
    assert [list(sentence.spans) for sentence in corpus] == [
        repaired_spans(tags, scheme) for tags in sentences
    ]
    assert sum(corpus.labels.values()) == sum(len(sentence.spans) for sentence in corpus)
    assert (corpus.repaired == 0) == all(keeps_the_rules(tags, scheme) for tags in sentences)


def keeps_the_rules(tags, scheme):
    try:
        spans_of(tags, scheme)
    except ValueError:
        return False
    return True


def test_a_missing_tag_on_line_812_is_named():
    lines = ["好\tO"] * 2000
    lines[811] = "好"
    assert message(*lines) == (
        "<memory>, line 812: a tag column is missing: 1 of 2 columns between tabs. Received: '好'."
    )
    assert message(*[line.replace("\t", " ") for line in lines]) == (
        "<memory>, line 812: a tag column is missing: 1 of 2 columns between spaces. "
        "Received: '好'."
    )
    lines[811] = "好\tO\tO"
    assert "line 812: 3 columns, where other lines have 2 columns between tabs." in message(*lines)
    lines[811] = "\tO"
    assert "line 812: there is a tag, but no character before it." in message(*lines)


def test_a_broken_rule_is_named_with_its_line():
    lines = ["北 B-LOC", "京 I-LOC", "沪 B-LOC", "", "张 O", "三 I-PER", "", "李 I-PER"]
    lines += ["", "湘 B-LOC"] * 2
    assert message(*lines) == (
        "<memory>, line 6: I-PER without its B-PER. BIO has the letters B, I, O, and 2 steps break "
        "its rules (of IOB1, 3 do). Mend it, or pass repair=True (--repair) to read such tags as "
        "conlleval does."
    )
    corpus = of_lines(*lines, repair=True)
    assert corpus.repaired == 2
    assert corpus.first_repaired == "<memory>, line 6: I-PER without its B-PER"
    assert f"2 broken rules repaired ({corpus.first_repaired})" in str(corpus)
    assert contents(corpus)[1:3] == [("张三", (Span(1, 2, "PER"),)), ("李", (Span(0, 1, "PER"),))]
    # The tag that does not end is at fault, not the one after it.
    assert "line 2: B-LOC without its E-LOC." in message("在 O", "北 B-LOC", "好 O", "京 S-LOC")
    assert "line 2: B-LOC without its E-LOC." in message("在 O", "北 B-LOC", "", "京 S-LOC")


def test_a_tag_of_no_scheme_is_named_with_its_line():
    lines = ["北 B-LOC", "京 I-LOC"] * 9 + ["的 X-LOC", "好 O"]
    assert message(*lines) == (
        "<memory>, line 19: the tag is none of BIO, which most others follow. Received: 'X-LOC'."
    )
    assert "line 1: the tag is none of BMESO" in message("的 I-LOC", "好 O", scheme=BMESO)
    assert of_lines("的 B-LOC", "好 O", scheme=BILOU, repair=True).repaired == 1


# Words


def test_words_between_spaces_are_spans_without_labels():
    corpus = of_lines("我  爱 北京 ", "", "好\u3000的")
    assert corpus.layout == Words()
    assert corpus.scheme == BMES
    assert contents(corpus) == [
        ("我爱北京", (Span(0, 1), Span(1, 2), Span(2, 4))),
        ("好的", (Span(0, 1), Span(1, 2))),
    ]
    assert [sentence.line for sentence in corpus] == [1, 3]
    assert contents(of_lines("好\u3000的")) == contents(corpus)[1:]
    assert str(corpus) == "words between spaces; 2 sentences; 6 characters; 5 words"


@pytest.mark.parametrize("separator", "_/")
def test_words_may_have_parts_of_speech(separator):
    corpus = of_lines(f"北京{separator}NR __{separator}PU", f"好{separator}VA")
    assert corpus.layout == Words(separator)
    assert contents(corpus) == [
        ("北京__", (Span(0, 2, "NR"), Span(2, 4, "PU"))),
        ("好", (Span(0, 1, "VA"),)),
    ]
    assert corpus.labels == {"NR": 1, "PU": 1, "VA": 1}
    lines = [f"北京{separator}NR 好{separator}VA"] * 300 + ["好"]
    assert f"line 301: '好' has no {separator} and a label. Received: '好'." in message(*lines)


def test_treebanks_give_their_words():
    tail = "\t_\tX\tX\t_\t0\troot\t_\t_"
    lines = ["# sent_id = 1", f"1\t我{tail}", f"2-3\t不要{tail}", f"2\t不{tail}", f"3\t要{tail}"]
    lines += [f"3.1\t空{tail}", f"4\t。{tail}", "", f"1\t好{tail}"]
    corpus = of_lines(*lines)
    assert corpus.layout == TreeColumns()
    assert [(sentence.tokens, sentence.line) for sentence in corpus] == [
        (("我", "不要", "。"), 2),
        (("好",), 9),
    ]
    lines = [f"1\t我{tail}", ""] * 300 + ["好"]
    assert "line 601: no number and word in the first two columns." in message(*lines)


# JSON


FORMS = {
    "objects": {"text": "他在北京", "entities": [{"start": 2, "end": 4, "label": "LOC"}]},
    "doccano": {"text": "他在北京", "label": [[2, 4, "LOC"]]},
    "doccano objects": {
        "id": 1,
        "text": "他在北京",
        "entities": [{"id": 7, "label": "LOC", "start_offset": 2, "end_offset": 4}],
        "relations": [],
    },
    "CMeEE": {
        "text": "他在北京",
        "entities": [{"start_idx": 2, "end_idx": 3, "type": "LOC", "entity": "北京"}],
    },
    "CLUENER": {"text": "他在北京", "label": {"LOC": {"北京": [[2, 3]]}}},
    "offsets": {
        "text": "他在北京",
        "mention_data": [{"mention": "北京", "offset": "2", "type": "LOC"}],
    },
    "tags": {"tokens": list("他在北京"), "ner_tags": ["O", "O", "B-LOC", "I-LOC"]},
}


@pytest.mark.parametrize("name", FORMS)
def test_json_spans_in_every_form_are_the_same(name):
    # A record without spans says nothing about the form.
    empty = {key: type(value)() for key, value in FORMS[name].items()}
    lines = [json.dumps(FORMS[name], ensure_ascii=ascii) for ascii in (False, True)]
    if name == "tags":
        empty.update(tokens=["好"], ner_tags=["O"])
    corpus = of_lines(json.dumps(empty), "", *lines)
    assert contents(corpus)[1:] == [("他在北京", (Span(2, 4, "LOC"),))] * 2
    assert corpus.labels == {"LOC": 2}
    assert [sentence.line for sentence in corpus] == [1, 3, 4]
    assert corpus.scheme == BIO


def test_the_layout_of_json_is_told():
    told = {name: str(of_lines(json.dumps(record)).layout) for name, record in FORMS.items()}
    assert told["CLUENER"] == 'JSON lines, mentions in "label", ends included'
    assert told["CMeEE"] == 'JSON lines, objects in "entities", ends included'
    assert told["doccano"] == 'JSON lines, triples in "label"'
    assert told["tags"] == 'JSON lines, tags in "ner_tags"'


def test_overlapping_and_repeated_spans_are_counted_and_the_longest_are_tagged():
    spans = [[0, 2, "A"], [0, 4, "B"], [3, 5, "C"], [0, 2, "A"], [5, 6, "D"]]
    corpus = of_lines(json.dumps({"text": "一二三四五六", "spans": spans}))
    assert (corpus.overlapping, corpus.repeated) == (2, 1)
    assert str(corpus).endswith("2 give way to longer spans that they overlap; 1 said twice")
    (sentence,) = corpus
    assert sentence.spans == (Span(0, 2, "A"), Span(0, 4, "B"), Span(3, 5, "C"), Span(5, 6, "D"))
    assert sentence.tags(BIO) == ["B-B", "I-B", "I-B", "I-B", "O", "B-D"]


GOOD = '{"text": "他在北京", "entities": [{"start": 2, "end": 4, "type": "LOC", "word": "北京"}]}'


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"text": "他"', "not valid JSON"),
        ("[1]", "each line must hold one JSON object"),
        ('{"text": "他"}', 'the record has no "entities"'),
        ('{"text": 1, "entities": []}', '"text" must be a text'),
        ('{"text": "\\ud800", "entities": []}', "one half of a character"),
        ('{"text": "他", "entities": [{"start": 0}]}', '"entities" does not hold objects'),
        ('{"text": "他", "entities": [1]}', '"entities" does not hold objects'),
        (GOOD.replace("4", "5"), "a span from 2 to 5 in 4 characters"),
        (GOOD.replace("2", "4"), "a span from 4 to 4 in 4 characters"),
        (GOOD.replace("2", "1"), "the span from 1 to 4 is '在北京', not '北京'"),
        (GOOD.replace("2", "-2"), "a span from -2 to 4"),
    ],
)
def test_a_wrong_record_is_named_with_its_line(line, what):
    said = message(GOOD, "", line)
    assert said.startswith("<memory>, line 3: ")
    assert what in said
    assert "Received: " in said


def test_wrong_tags_in_json_are_named_with_their_line():
    good = json.dumps(FORMS["tags"])
    assert "line 2: " in message(good, good.replace("B-LOC", "O"))
    assert "must be equally many texts" in message(good, '{"tokens": ["a"], "ner_tags": []}')
    assert "holds an empty text" in message(good, '{"tokens": [""], "ner_tags": ["O"]}')


# What is no labelled text


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "<memory>: holds no labelled sentence."),
        (["", " "], "<memory>: holds no labelled sentence."),
        (["今天天气好。"], "neither columns with tags, nor words between spaces, nor JSON"),
        (["好\tPN", "的\tDE"], "the last column is no tag of BMES, BIO, IOB1"),
        (['{"text": "好", "label": "positive"}'], "no record holds spans in a form"),
    ],
)
def test_other_text_is_an_error(lines, what):
    assert what in message(*lines)


def test_a_json_list_is_an_error_that_knows_the_way_out(tmp_path):
    path = write(tmp_path, '[{"text": "好"}]', "a.json")
    with pytest.raises(CorpusError, match=re.escape("jq -c '.[]'")):
        read_tagged(path)


def test_a_layout_may_be_given_and_lines_left_out():
    assert contents(of_lines("O O", "B O", layout=Words())) == [
        ("OO", (Span(0, 1), Span(1, 2))),
        ("BO", (Span(0, 1), Span(1, 2))),
    ]
    assert len(of_lines("#fold1", "好 的", comment="#fold")) == 1
    records = Records("triples", "text", "label", end_included=True)
    line = '{"text": "他在北京", "label": [[2, 3, "LOC"]]}'
    assert contents(of_lines(line, layout=records)) == [("他在北京", (Span(2, 4, "LOC"),))]


def test_a_file_of_words_whose_lines_end_in_a_tag_now_and_then_is_words():
    lines = ["维生素 B", "我 爱 北京", "他 也 是"]
    assert detect_layout(Corpus.from_lines(lines)) == Words()


LINE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=8),
    st.lists(
        st.sampled_from(["好", "a", " ", "O", "B-X", "I-X", "S", "_", "\t", "1", "2-3", "-", "/n"]),
        max_size=6,
    ).map("".join),
    st.sampled_from(["", '{"text": "好"}', GOOD, "[]", "-DOCSTART-", "# a", "1\t好" + "\t_" * 8]),
)


@given(st.lists(LINE, max_size=6), st.booleans())
def test_any_lines_are_either_read_or_refused_with_a_reason(lines, repair):
    corpus, said = None, ""
    try:
        corpus = of_lines(*lines, repair=repair)
    except CorpusError as error:
        said = str(error)
    if corpus is None:
        assert said.startswith("<memory>")
        return
    sentences = list(corpus)
    assert len(sentences) == len(corpus) > 0
    assert sum(len(sentence.text) for sentence in sentences) == corpus.characters
    assert sum(len(sentence.spans) for sentence in sentences) == sum(corpus.labels.values())
    for sentence in sentences:
        assert 1 <= sentence.line <= len(lines)
        assert all(span.stop <= len(sentence.text) for span in sentence.spans)
        assert len(sentence.tags(BIO)) == len(sentence.text)
    assert "\n" not in str(corpus)


# Real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "ner_peoples_daily/dev.bio.txt.xz",
            "2 columns between spaces, BIO; 2,318 sentences; 109,870 characters; "
            "3,819 spans (LOC 1,951, ORG 984, PER 884)",
        ),
        (
            "ner_msra/train.bio.txt.xz",
            # Counted with awk: each B-, and each I- behind neither B- nor I- of its label.
            "2 columns between tabs, BIO; 43,215 sentences; 1,820,843 characters; "
            "61,802 spans (LOC 30,282, ORG 16,979, PER 14,541); 6 broken rules repaired (",
        ),
        ("ner_resume/train.char.bmes.xz", "2 columns between spaces, BMESO; 3,821 sentences; "),
        ("ner_resume/dev.char.bmes.xz", "2 columns between spaces, BMESO; 463 sentences; "),
        (
            "ner_cluener/train.json.xz",
            'JSON lines, mentions in "label", ends included; 10,748 sentences; ',
        ),
        ("ner_cluener/dev_a.json.xz", 'JSON lines, mentions in "label", ends included; 672 sen'),
        ("cws_multi/sxu_train.txt.xz", "words between spaces; 17,115 sentences; "),
        ("cws_multi/wtb_train.conll.xz", "words in the second column of a treebank; 813 sentenc"),
        ("cws_multi/zx_dev.zhuxian.wordpos.xz", "words between spaces, each with _ and a label; "),
        ("cws_pd1998/folds1-4.txt.xz", "words between spaces; 30,664 sentences; "),
        ("cws_sighan2005/pku_test_gold.utf8.xz", "words between spaces; 1,944 sentences; "),
        ("cws_sighan2005/msr_test_gold.utf8.xz", "words between spaces; 3,985 sentences; "),
        ("el_ccks2019/train_sample.json.xz", 'JSON lines, offsets in "mention_data"; 8,000 sen'),
    ],
)
def test_real_files_are_read_and_what_is_told_is_true(data_folder, name, said):
    corpus = read_tagged(data_folder / name, repair=True, comment="#fold")
    assert str(corpus).startswith(said)
    sentences = characters = spans = 0
    for sentence in corpus:
        sentences += 1
        characters += len(sentence.text)
        spans += len(sentence.spans)
        if sentence.tokens and corpus.scheme is BMES and sentences % 50 == 0:
            tags = sentence.tags(BMES)
            assert repaired_spans(tags, BMES) == [
                Span(s.start, s.stop) for s in sentence.spans
            ] or (any(span.label for span in sentence.spans))
    assert (sentences, characters) == (len(corpus), corpus.characters)
    assert spans == sum(corpus.labels.values())
