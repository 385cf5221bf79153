"""Where a response is cut into sentences, and where it is not."""

from __future__ import annotations

import pytest

from gradsweep.data.sentences import split_sentences


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
