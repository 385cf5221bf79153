"""Names as a reader writes them."""

import pytest

from gradsweep.report.labels import dataset_title, model_title


@pytest.mark.parametrize(
    ("label", "title"),
    [
        ("qwen2_1.5b_instruct", "Qwen2 1.5B Instruct"),
        ("llama3.2_1b", "Llama 3.2 1B"),
        ("llama3_8b_instruct", "Llama 3.1 8B Instruct"),
        ("smollm2_135m_instruct n_samples=2", "SmolLM2 135M Instruct, n_samples=2"),
        ("phi4_mini_instruct", "Phi-4 Mini Instruct"),
        ("my_own_7b", "my_own_7b"),
        ("tiny", "tiny"),
    ],
)
def test_models_are_named_as_their_makers_write_them(label, title):
    assert model_title(label) == title


@pytest.mark.parametrize(
    ("label", "title"),
    [
        ("gsm8k", "GSM8K"),
        ("math_algebra", "MATH algebra"),
        ("wiki_popular_100", "wiki popular 100"),
        ("mine data=1f3a", "mine, data=1f3a"),
        ("my_data", "my_data"),
    ],
)
def test_datasets_are_named_as_their_makers_write_them(label, title):
    assert dataset_title(label) == title
