"""What a user reads after a mistake: path, expected, got, remedy, in one line, from the real kernels."""

from __future__ import annotations

import pickle

import pytest

from mcrisk.errors import ImpossibleDesign, InfrastructureError, MistakeError, Problems, nearest, suggestion
from mcrisk.mission import load, loads

LANDER = """
base = "hakuto_r_m2_as_designed"
"""


def refusal(text: str) -> str:
    """The message of a mission text that is refused."""
    with pytest.raises(MistakeError) as caught:
        loads(LANDER + text, "lander.toml")
    return str(caught.value)


def test_wrong_dimension_names_the_expected_quantity():
    """The example of the design document."""
    expected = 'lander.toml: propulsion.main.thrust: expected a force such as "450 N", got "450 kg"'

    assert expected == refusal('[propulsion.main]\nthrust = "450 kg"')


def test_unknown_key_suggests_the_nearest_one():
    """The example of the design document."""
    expected = "lander.toml: unknown parameter 'altimiter.range_max'; did you mean 'altimeter.range_max'?"

    assert expected == refusal('[altimiter]\nrange_max = "5 km"')


def test_a_number_without_a_unit_shows_how_to_write_one():
    """Metres or kilometres is not guessed."""
    assert refusal("[altimeter]\nrange_max = 5") == (
        'lander.toml: altimeter.range_max: expected a length such as "3 km", got 5 without a unit'
    )


def test_a_wrong_choice_lists_the_choices():
    """The members of an enum."""
    message = refusal('[navigation]\ngate_policy = "per_smple"')

    assert 'expected one of per_sample, latch, reset, inflate, dem_aware, got "per_smple"' in message
    assert message.endswith("did you mean 'per_sample'?")


def test_a_value_out_of_range_shows_the_range_in_units_people_read():
    """Degrees, not radians."""
    message = refusal('[site]\nlatitude = "100 deg"')

    assert message == 'lander.toml: site.latitude: expected a value from -90 deg to 90 deg, got "100 deg"'


def test_an_on_board_constant_cannot_be_dispersed():
    """It can be swept."""
    message = refusal('[dispersions]\nnavigation.gate_sigma = { sigma = "1 %" }')

    assert message.endswith("'navigation.gate_sigma' is an on-board constant: it can be swept, not dispersed")


def test_an_unknown_mission_suggests_the_nearest_shipped_one():
    """A bare name."""
    with pytest.raises(
        MistakeError, match=r"no mission called 'hakuto_r_m2_as_desinged'; did you mean 'hakuto_r_m2_as_designed'"
    ):
        load("hakuto_r_m2_as_desinged")


def test_mistakes_of_several_places_come_together():
    """One run of the command mends the file."""
    message = refusal('[propulsion.main]\nthrust = "450 kg"\nips = "3 s"\n[altimeter]\nrange_max = 5')

    assert len(message.splitlines()) == 3


def test_an_error_tells_its_four_parts_and_its_exit_code():
    """Subject, expected, got, remedy; 2 is the user's, 4 the machine's."""
    whole = MistakeError("a.toml: x", "a force", '"3 kg"', "write newtons")

    assert str(whole) == 'a.toml: x: expected a force, got "3 kg"; write newtons'
    assert (whole.subject, whole.expected, whole.got, whole.remedy) == (
        "a.toml: x",
        "a force",
        '"3 kg"',
        "write newtons",
    )
    assert str(MistakeError("nothing to do")) == "nothing to do"
    assert str(MistakeError("x", got="nothing")) == "x: got nothing"
    assert MistakeError.exit_code == 2
    assert ImpossibleDesign.exit_code == 2
    assert InfrastructureError.exit_code == 4
    assert issubclass(ImpossibleDesign, MistakeError)
    assert not issubclass(InfrastructureError, MistakeError)


def test_errors_travel_between_processes():
    """As workers raise them."""
    for error in (MistakeError("a", "b", "c", "d"), ImpossibleDesign("a"), InfrastructureError("a", remedy="d")):
        again = pickle.loads(pickle.dumps(error))

        assert type(again) is type(error)
        assert str(again) == str(error)


def test_problems_come_once_each_and_in_order():
    """A line that two checks find is shown once."""
    problems = Problems()
    for text in ("one", "two", "one"):
        with problems.caught():
            raise MistakeError(text)
    with pytest.raises(MistakeError) as caught:
        problems.check()

    assert str(caught.value) == "one\ntwo"
    Problems().check()


def test_one_mistake_is_one_line():
    """Whatever else would follow from the refused value; `generic_small` states its masses in [mass]."""
    with pytest.raises(MistakeError) as caught:
        loads('base = "generic_small"\n[altimeter]\nrange_max = nan', "lander.toml")

    assert str(caught.value) == (
        'lander.toml: altimeter.range_max: expected a finite number: a length such as "3 km", got nan'
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (r'"a\nb"', r"lander.toml: unknown parameter 'a\nb'; `mcrisk params` lists all of them"),
        (r'"\u001b[31mred"', r"lander.toml: unknown parameter '\x1b[31mred'; `mcrisk params` lists all of them"),
        ('""', "lander.toml: a key: expected a name, got an empty key"),
    ],
)
def test_an_odd_key_neither_breaks_the_line_nor_steers_the_terminal(key, expected):
    """Line breaks and escapes are shown, not sent."""
    assert expected == refusal(f"{key} = 3")


def test_two_names_that_are_as_near_are_both_suggested():
    """In the order of the headers."""
    assert suggestion("range", ["range_max", "range_min"]) == "did you mean 'range_max' or 'range_min'?"
    assert suggestion("range_mac", ["range_max", "range_min"]) == "did you mean 'range_max'?"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Altimeter.Range_Max", "altimeter.range_max"),
        ("range_max", "altimeter.range_max"),
        ("altimeter.rangemax", "altimeter.range_max"),
        ("qqqqqq", None),
        ("x", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_or_none(name, expected):
    """Case, missing section, small slips; silence when nothing is near."""
    assert nearest(name, ["altimeter.range_max", "vehicle.cg_B.x", "rcs.thrust"]) == expected
