"""Where a response is cut into sentences, and where it is not."""

from __future__ import annotations

import pytest

from gradsweep.data.sentences import TextRules, join_sentences, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 dollars. So 7.", ["It costs 3.50 dollars.", "So 7."]),
        ("Mr. Smith met Dr. J. Doe. They left.", ["Mr. Smith met Dr. J. Doe.", "They left."]),
        ("Fruit (e.g. apples) is good. Yes.", ["Fruit (e.g. apples) is good.", "Yes."]),
        ('He said "go." She went.', ['He said "go."', "She went."]),
        ("No end mark at all", ["No end mark at all"]),
        ("The answer is no. It ends.", ["The answer is no.", "It ends."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_ends_of_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_a_list_number_stays_with_its_item() -> None:
    text = "Follow the steps.\n\n1. **Add.** Take 2 and 3.\n\n2. Multiply them."
    assert split_sentences(text) == [
        "Follow the steps.",
        "1. **Add.**",
        "Take 2 and 3.",
        "2. Multiply them.",
    ]


def test_a_formula_keeps_its_closing_delimiter() -> None:
    text = "We get\n\\[\nx = 5.\n\\]\n\nSo $x$ is $\\boxed{5}.$ Done."
    assert split_sentences(text) == [
        "We get\n\\[\nx = 5.\n\\]",
        "So $x$ is $\\boxed{5}.$",
        "Done.",
    ]


def test_written_out_breaks_separate_sentences_but_latex_commands_do_not() -> None:
    assert split_sentences(r"50 x 9 = 450\nHence x \neq 2\n\n46") == [
        "50 x 9 = 450.",
        r"Hence x \neq 2.",
        "46.",
    ]


def test_only_white_space_is_lost() -> None:
    text = "### Step 1\n\nTake 2.5 (see Fig. 3). **Then** go!\n- One\n- Two. End"
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


LANGUAGES = {
    "Chinese": ["今天很好。", "我们去公园吧！", "他说：“好。”", "圆周率约为3.14，价格是５．５元。"],
    "Chinese with Latin marks": ["他有3个苹果.", "又买2个!", "一共5个."],
    "Japanese": ["これは本です。", "「はい。」", "そうですか？"],
    "Hindi": ["यह एक किताब है।", "वह 3.5 किलो है।", "क्या?"],
    "Arabic": ["ما هذا؟", "هذا كتاب.", "نعم!"],
    "Urdu": ["یہ کتاب ہے۔", "ہاں۔"],
    "Armenian": ["Սա գիրք է։", "Այո։"],
    "Amharic": ["ይህ መጽሐፍ ነው።", "አዎ።"],
    "Burmese": ["ဒါကစာအုပ်ပါ။", "ဟုတ်ကဲ့။"],
    "Spanish": ["¿Cuántas manzanas?", "¡Cinco!", "Son 3,5 kilos."],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_end_marks_of_every_script_end_a_sentence(language: str) -> None:
    sentences = LANGUAGES[language]
    text = join_sentences(sentences)
    assert split_sentences(text) == sentences
    assert (" " in text) == (language not in ("Chinese", "Chinese with Latin marks", "Japanese"))


def test_a_script_without_end_marks_is_one_piece() -> None:
    assert split_sentences("สวัสดี วันนี้ อากาศดี") == ["สวัสดี วันนี้ อากาศดี"]


def test_dots_of_omission_end_a_sentence_only_before_a_new_one() -> None:
    assert split_sentences("Well... maybe. Wait… what… Yes. So... That is it.") == [
        "Well... maybe.",
        "Wait… what…",
        "Yes.",
        "So...",
        "That is it.",
    ]


@pytest.mark.parametrize(
    "whole",
    [
        "There are $5! = 120$ ways.",
        "It is \\(3! \\cdot 2\\) in all.",
        "We get\n\\[\na = 1. \\quad b = 2.\n\\]",
        "\\begin{align} a. b \\end{align} holds.",
        "$$a! + b. c$$ is it.",
        "Call `a. b` now.",
        "Use this:\n```python\nprint('One. Two.\\n')\n\n- x. \n```\nDone.",
        "<think>\nFirst. Second.\n</think>\n\nIt is 4.",
    ],
)
def test_formulas_code_and_thoughts_are_not_split(whole: str) -> None:
    assert split_sentences(f"Before. {whole} After.") == ["Before.", whole, "After."]


def test_prices_are_no_formula() -> None:
    text = "It costs $5. He pays $10.50. She pays $6-$7. Fine."
    assert split_sentences(text) == ["It costs $5.", "He pays $10.50.", "She pays $6-$7.", "Fine."]


def test_fenced_code_stays_on_its_own_lines() -> None:
    code = "```\nx = 1\n```"
    assert join_sentences(["Look.", code, "Done."]) == f"Look.\n{code}\nDone."


def test_the_rules_of_the_papers_texts_stay_what_they_were() -> None:
    """They know neither formulas nor other scripts: stored points have texts made by them."""
    text = "There are $5! = 120$ ways. Well... maybe. 是。不是。"
    assert split_sentences(text, TextRules.paper) == [
        "There are $5!",
        "= 120$ ways.",
        "Well...",
        "maybe.",
        "是。不是。",
    ]
    assert join_sentences(["是。", "```", "A."], TextRules.paper) == "是。 ``` A."
