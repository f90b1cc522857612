"""Words of offsets, problems and values."""

from server.markup import code
from server.pages.filters import offset_words, plain, reason


def test_words_of_offsets_and_problems() -> None:
    assert offset_words("+0.50m+0.0m+0.0deg") == "0.50 m left"
    assert offset_words("-0.25m+0.0m-1.0deg") == "0.25 m right, 1.0° right"
    assert offset_words("elsewhere") == "elsewhere"
    assert code("see `errors` & <b>") == "see <code>errors</code> &amp; &lt;b&gt;"
    assert plain({"displaced": True, "epochs": 3}) == "displaced yes, epochs 3"


def test_a_sentence_without_the_word_that_stands_above_it() -> None:
    assert reason("PASS: not worse.") == "Not worse."
    early = "PASS, provisional after 16 of 80 pairs: not worse."
    assert reason(early) == "Provisional after 16 of 80 pairs: not worse."
    assert reason("FAIL: jerk_ms is worse.") == "jerk_ms is worse."
    assert reason("Not decided yet.") == "Not decided yet."
