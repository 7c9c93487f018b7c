"""What follows from measurements."""

from engine.tuning.tables import CodecRow, Tuning


def row(precision: str, seconds: dict[int, float], snr: float | None = None, *, fused: bool = False) -> CodecRow:
    return CodecRow.model_validate(
        {"precision": precision, "fused": fused, "plain": (), "seconds": seconds, "snr": snr}
    )


def tuning(*rows: CodecRow) -> Tuning:
    return Tuning(host="a processor", threads=2, date="2026-11-25", versions={}, codec=rows)


def test_the_fastest_form_that_is_good_enough_is_chosen() -> None:
    exact, coarse = row("float32", {24: 0.3, 150: 0.2}), row("bfloat16", {24: 0.1, 150: 0.1}, 37.1)
    noisy = row("bfloat16", {24: 0.05, 150: 0.05}, 34.9)
    assert tuning(exact, coarse, noisy).best_codec() == coarse
    assert tuning(exact, noisy).best_codec() == exact


def test_short_windows_count_as_much_as_long_ones() -> None:
    short, long = row("float32", {24: 0.1, 150: 0.4}), row("bfloat16", {24: 1.2, 150: 0.1}, 40)
    assert tuning(short, long).best_codec() == short


def test_a_precision_that_the_settings_name_is_kept() -> None:
    exact, faster = row("float32", {24: 0.3}), row("float32", {24: 0.2}, fused=True)
    coarse = row("bfloat16", {24: 0.1}, 37.1)
    assert tuning(exact, faster, coarse).best_codec("float32") == faster
    assert tuning(exact, faster).best_codec("bfloat16") is None


def test_nothing_was_measured() -> None:
    assert tuning().best_codec() is None
    assert tuning().best_language_model() is None
