"""Windows cover every token once, in order, with their context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.windows import cost, rate_without_gaps
from engine.codec.windows import Window, WindowPlan, Windows

PLANS = st.builds(
    WindowPlan,
    context=st.integers(1, 40),
    first=st.integers(1, 40),
    first_lookahead=st.integers(1, 40),
    lookahead_step=st.integers(0, 40),
    growth=st.floats(1, 4),
    largest=st.integers(40, 300),
)


def planned(plan: WindowPlan, arrivals: list[int]) -> list[Window]:
    """The windows when tokens arrive in these portions."""
    windows, found, tokens = Windows(plan), [], 0
    for count in arrivals:
        tokens += count
        while window := windows.next(tokens, ended=False):
            found.append(window)
    while window := windows.next(tokens, ended=True):
        found.append(window)
    return found


@given(PLANS, st.integers(0, 1500))
def test_every_token_is_new_once_and_in_order(plan: WindowPlan, tokens: int) -> None:
    covered = [token for w in planned(plan, [tokens]) for token in range(w.keep_start, w.keep_end)]
    assert covered == list(range(tokens))


@given(PLANS, st.lists(st.integers(0, 50), max_size=30))
def test_windows_do_not_depend_on_when_tokens_come(plan: WindowPlan, arrivals: list[int]) -> None:
    assert planned(plan, arrivals) == planned(plan, [sum(arrivals)])


@given(PLANS, st.integers(1, 1500))
def test_the_last_window_is_known_to_be_the_last(plan: WindowPlan, tokens: int) -> None:
    *others, last = planned(plan, [1] * tokens)
    assert last.last
    assert not any(window.last for window in others)


@given(PLANS, st.integers(1, 1500))
def test_windows_have_their_context(plan: WindowPlan, tokens: int) -> None:
    windows = planned(plan, [tokens])
    for index, window in enumerate(windows):
        ahead = min(plan.context, plan.first_lookahead + plan.lookahead_step * index) if index else plan.first_lookahead
        assert window.start == max(0, window.keep_start - plan.context)
        assert window.end == (tokens if window is windows[-1] else window.keep_end + ahead)


def test_the_first_window_is_small_and_the_others_grow() -> None:
    windows = planned(WindowPlan(), [1] * 1000)
    sizes = [w.keep_end - w.keep_start for w in windows]
    assert sizes[:5] == [16, 28, 49, 85, 148]
    assert set(sizes[5:-1]) == {250}
    assert [w.end - w.keep_end for w in windows[:5]] == [12, 16, 20, 24, 24]


def test_the_first_window_is_there_after_28_tokens() -> None:
    windows = Windows(WindowPlan())
    assert windows.next(27, ended=False) is None
    assert windows.next(28, ended=False) == Window(0, 0, 16, 28)


@pytest.mark.parametrize(("shortest", "longest", "bound"), [(80, 120, 1.51), (121, 249, 1.44), (250, 600, 1.28)])
def test_little_is_decoded_twice(shortest: int, longest: int, bound: float) -> None:
    costs = [cost(WindowPlan(), tokens) for tokens in range(shortest, longest + 1)]
    assert sum(costs) / len(costs) < bound


@pytest.mark.parametrize("tokens", range(30, 600, 7))
def test_tokens_twice_as_fast_as_they_are_heard_leave_no_gap(tokens: int) -> None:
    assert rate_without_gaps(WindowPlan(), tokens) <= 100
