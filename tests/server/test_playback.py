"""Detection of underruns in playback."""

from server.playback import Playback


def stalls(*arrivals: tuple[float, float]) -> list[bool]:
    """Whether playback had stalled before each chunk, given as its time and its length."""
    playback = Playback()
    return [playback.receive(at, seconds) for at, seconds in arrivals]


def test_audio_that_comes_in_time_is_heard_without_a_gap() -> None:
    assert stalls((5, 0.5), (5.4, 0.5), (5.9, 0.5), (6.5, 0.5)) == [False] * 4


def test_a_wait_for_the_first_audio_is_no_stall() -> None:
    assert stalls((100, 1)) == [False]


def test_audio_that_comes_late_is_a_stall() -> None:
    assert stalls((0, 1), (1.5, 1)) == [False, True]


def test_after_a_stall_the_listener_is_that_much_later() -> None:
    assert stalls((0, 1), (1.5, 1), (2.4, 1), (3.4, 1), (4.6, 1)) == [False, True, False, False, True]


def test_what_came_early_is_played_before_there_is_a_gap() -> None:
    assert stalls((0, 1), (0.1, 5), (5.9, 1), (7.1, 1)) == [False, False, False, True]
