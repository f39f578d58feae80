"""The headers as the schema: what is read, the layout both compilers use, and every line that is refused."""

# ruff: noqa: E501  (one mistake per line reads better)

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from mcrisk import schema as reader
from mcrisk.native import kernel_folder
from mcrisk.schema import SchemaError, load_schema
from mcrisk.values import default_values

ROOT = Path(__file__).parents[2]


def test_a_header_line_is_path_unit_range_default_and_description(headers):
    """One line of params.h in all its parts."""
    field = load_schema(headers).fields["altimeter.range_max"]

    assert (field.kind, field.unit, field.default, field.source) == ("real", "m", "5 km", "default")
    assert (field.lower, field.lower_open, field.upper) == (0.0, True, None)
    assert field.description == "Longest slant range."
    assert (field.struct, field.owner, field.file) == ("Altimeter", "World", "params.h")


def test_promoted_structs_leave_no_trace_in_paths_and_others_do(headers):
    """`world` and `onboard` are promoted, `simulation` is not."""
    schema = load_schema(headers)

    assert list(schema.fields) == [
        "gravity.radius", "vehicle.mass_dry", "vehicle.cg_B", "propulsion.main.thrust", "propulsion.main.isp",
        "propulsion.main.misalign", "propulsion.propellant", "altimeter.range_max", "altimeter.health",
        "altimeter.noise_fraction", "altimeter.beam_B", "altimeter.period_ticks", "altimeter.fitted", "guidance.law",
        "guidance.gate_height", "simulation.truth_steps",
    ]  # fmt: skip


def test_kinds_sources_and_sections_are_told_apart(headers):
    """Scalars, vectors, arrays, choices; stated, default, designed, placed, internal."""
    schema = load_schema(headers)

    assert {path: one.kind for path, one in schema.fields.items() if one.kind != "real"} == {
        "vehicle.cg_B": "vector", "altimeter.beam_B": "vector", "altimeter.period_ticks": "int",
        "altimeter.fitted": "int", "guidance.law": "enum", "guidance.gate_height": "array",
        "simulation.truth_steps": "int",
    }  # fmt: skip
    assert schema.fields["gravity.radius"].source == "placed"
    assert schema.fields["guidance.gate_height"].source == "designed"
    assert schema.fields["guidance.gate_height"].description == "Heights of the gates, falling."
    assert schema.fields["vehicle.mass_dry"].source == "required"
    assert schema.slots["scatter.dispersion.4.upper"].source == "internal"
    assert schema.sections["propulsion.main"] == "Main engine."
    assert schema.sections["altimeter"] == "Altimeter."


def test_enums_keep_order_numbers_and_sentences(headers):
    """Outcome of the small record.h."""
    outcome = load_schema(headers).enums["Outcome"]

    assert list(outcome) == ["invalid", "success"]
    assert outcome["success"] == 10
    assert outcome.member(10) == "success"
    assert outcome.sentences["success"] == "Landed."
    assert outcome.description == "How a run ended."


def test_record_fields_tell_which_are_metrics(headers):
    """The tag `metric`, and a description that starts with a digit."""
    fields = load_schema(headers).record_fields

    assert [name for name, one in fields.items() if one.metric] == ["descent_rate"]
    assert fields["contact"].description == "1 if the lander reached the ground, else 0."


def test_component_paths_find_their_field(headers):
    """`.x .y .z` of vectors, `.0 .1` of arrays."""
    schema = load_schema(headers)

    assert schema.locate("vehicle.cg_B.z") == (schema.fields["vehicle.cg_B"], 2)
    assert schema.locate("guidance.gate_height.1") == (schema.fields["guidance.gate_height"], 1)
    with pytest.raises(KeyError):
        schema.locate("guidance.gate_height.3")


@pytest.mark.parametrize("real", [4, 8])
def test_the_layout_is_that_of_numpy_and_of_the_compiler(headers, real, tmp_path):
    """sizeof and offsetof by g++ are the oracle; numpy's aligned dtype agrees."""
    schema = load_schema(headers)
    compiler = shutil.which("g++") or shutil.which("clang++")
    assert compiler, "a C++ compiler"
    source = tmp_path / "layout.cpp"
    name = "float" if real == 4 else "double"
    source.write_text(
        f"using real = {name};\n#define MCR_FN inline\n"
        '#include "vec.h"\n#include "dispersion.h"\n#include "record.h"\n#include "params.h"\n'
        "#include <cstddef>\n#include <cstdio>\n"
        "int main() { using mcr::Params; Params* p = nullptr;\n"
        'std::printf("%zu %zu %zu %zu\\n", sizeof(Params), sizeof(Record), sizeof(Sample),\n'
        "(std::size_t)((char*)&p->scatter.dispersion[4].upper - (char*)p)); }\n"
    )
    program = tmp_path / "layout"
    subprocess.run([compiler, "-std=c++17", f"-I{headers}", str(source), "-o", str(program)], check=True)
    expected = [int(word) for word in subprocess.run([program], capture_output=True, check=True).stdout.split()]

    slot = schema.slots["scatter.dispersion.4.upper"]
    sizes = [schema.params_bytes(real), schema.record_bytes(real), schema.sample_bytes(real), slot.offset_bytes(real)]
    assert expected == sizes
    assert sizes[:3] == [getattr(schema, f"{one}_dtype")(real).itemsize for one in ("params", "record", "sample")]


def test_world_words_count_four_bytes_inside_world(headers):
    """World starts with gravity.radius; Onboard is not in it."""
    schema = load_schema(headers)

    assert schema.world_word("gravity.radius") == 0
    assert schema.world_word("vehicle.cg_B.z") == 4
    assert schema.world_word("vehicle.cg_B.z", real=8) == 8
    assert schema.world_word("guidance.gate_height.0") is None
    with pytest.raises(KeyError, match="name one component"):
        schema.world_word("vehicle.cg_B")


def test_rows_of_the_reference_can_be_searched(headers):
    """`mcrisk params isp`."""
    rows = load_schema(headers).rows("ISP")

    assert rows == [
        {"path": "propulsion.main.isp", "unit": "s", "default": "318 s", "range": "> 0",
         "description": "Specific impulse."}
    ]  # fmt: skip
    law = load_schema(headers).rows("guidance.law")[0]
    assert law["range"] == "constant | apollo"


def test_the_json_schema_is_valid_and_accepts_what_the_headers_state(headers):
    """Draft 2020-12; the validator is the jsonschema package."""
    document = load_schema(headers).json_schema()

    jsonschema.Draft202012Validator.check_schema(document)
    validator = jsonschema.Draft202012Validator(document)
    assert validator.is_valid({"altimeter": {"range_max": "5 km", "beam_B": [0, 0, -1]}, "guidance": {"law": "apollo"}})
    assert not validator.is_valid({"altimeter": {"range_max": 5}})
    assert not validator.is_valid({"altimeter": {"ranje_max": "5 km"}})
    assert not validator.is_valid({"guidance": {"law": "apolo"}})


def test_the_build_reads_the_size_with_the_standard_library_alone(headers):
    """`python -I -S schema.py`: no site packages, no mcrisk."""
    script = ROOT / "mcrisk" / "schema.py"
    for real in (4, 8):
        command = [sys.executable, "-I", "-S", str(script), "--params-bytes", "--real", str(real), str(headers)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert int(printed) == load_schema(headers).params_bytes(real)


ALTIMETER = "Altimeter altimeter;   ///< Altimeter."
REFUSED = [
    ("real range_max;", "float range_max;", "unknown type 'float'"),
    ("real range_max;", "real range_max, other;", "expected `type name;"),
    ("real range_max;", "real range_max = 5;", "expected `type name;"),
    ("real range_max;", "real* range_max;", "expected `type name;"),
    ("real range_max;", "bool range_max;", "unknown type 'bool'"),
    ("real range_max;", "real health;", "Altimeter.health is declared twice"),
    ("real range_max;", "Range range_max;", "in struct Range, got `bool valid;`"),
    ("real range_max;", "real range_max[size];", "expected a positive array length"),
    ("real range_max;", "real range_max[0];", "expected a positive array length"),
    ("real range_max;        ///< [m]", "real range_max;        ///<", "has no [unit]"),
    ("real range_max;        ///< [m]", "real range_max;        // [m]", "expected `type name;"),
    ("[m] > 0, default 5 km.", "[metre] > 0, default 5 km.", "unit [metre] is not written"),
    ("[m] > 0, default 5 km.", "[m s-1] > 0, default 5 km.", "unit [m s-1] is not written"),
    ("[m] > 0, default 5 km.", "[m] > 0, defualt 5 km.", "unknown tag 'defualt 5 km'"),
    ("[m] > 0, default 5 km.", "[m] > 0, > 1.", "two lower limits"),
    ("[m] > 0, default 5 km.", "[m] < 0, 0 .. 1.", "two upper limits"),
    ("[m] > 0, default 5 km.", "[m] designed, default 5 km.", "a value has one source"),
    ("[m] > 0, default 5 km.", "[m] 2 .. 1.", "empty range 2 .. 1"),
    ("[m] > 0, default 5 km.", "[m] unit vector.", "only a Vec3 can be a unit vector"),
    ("[m] > 0, default 5 km.", "[tick] > 0.", "a [tick] is an int"),
    ("[m] > 0, default 5 km. Longest slant range.", "[m] > 0, default 5 km.", "a description is missing"),
    ("[m] > 0, default 5 km. Longest", "[m] longest", "a description starts with a capital letter"),
    ("[tick] >= 1, default 2.", "[s] >= 1, default 2.", "an int is [] or [tick]"),
    ("default constant.", "default constat.", "default 'constat' is not a member of Law"),
    ("[] default constant.", "[m] default constant.", "it has no unit and no range"),
    (ALTIMETER, "Altimeter altimeter;   ///< [m] Altimeter.", "it has no unit"),
    (ALTIMETER, "Altimeter altimeter;   ///< default 3. Altimeter.", "give defaults to its members"),
    (ALTIMETER, "Altimeter altimeter[2];   ///< Altimeter.", "an array of structs"),
    (ALTIMETER, "World altimeter;   ///< Altimeter.", "World contains itself"),
    (ALTIMETER, "Radar altimeter;   ///< Altimeter.", "unknown type 'Radar'"),
    (ALTIMETER, f"{ALTIMETER}\n    Engine one; ///< promoted. A.\n    Engine two; ///< promoted. B.", "is already taken"),
    ("apollo = 1,", "apollo = 0,", "is used twice"),
    ("apollo = 1,     ///< Quadratic in time.", "apollo,     ///< Quadratic in time.", "expected `member = 0,"),
    ("apollo = 1,     ///< Quadratic in time.", "apollo = 1,", "expected `member = 0,"),
    ("enum class Law : int", "enum class Law : unsigned", "Law is part of the schema"),
    ("struct Gravity {", "struct alignas(16) Gravity {", "Gravity is part of the schema"),
    ("struct Gravity {", "template <int n> struct Gravity {", "Gravity is part of the schema"),
    ("struct Gravity {", "struct Range {\n};\nstruct Gravity {\n    Range range; ///< Two.\n", "Range is defined twice"),
    ("struct Params {", "struct Parameters {", "no `struct Params {`"),
    ("struct Params {", "struct Params {\n    static_assert(true);", "expected `type name;"),
    ("struct Params {", "struct Params {\n    real f() const { return 1; }", "expected `type name;"),
    ("MCR_FN real half(real x) { return real(0.5) * x; }", "struct Open {\n{", "struct Open is never closed"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REFUSED)
def test_a_header_line_that_is_not_understood_is_refused_with_its_place(headers, old, new, expected):
    """Every mistake a kernel author can make in a schema line, one at a time."""
    text = (headers / "params.h").read_text()
    assert text.count(old) >= 1
    (headers / "params.h").write_text(text.replace(old, new, 1))

    with pytest.raises(SchemaError) as caught:
        reader._Reader(headers).schema()
    message = str(caught.value)
    assert expected in message
    assert "params.h:" in message or "no `struct Params {`" in message


def test_a_folder_without_headers_is_refused(tmp_path):
    """Not an empty schema."""
    with pytest.raises(SchemaError, match="found none"):
        load_schema(tmp_path)


def test_the_build_prints_the_place_of_a_mistake_and_fails(headers):
    """A headline, not a traceback."""
    text = (headers / "params.h").read_text().replace("real range_max;", "float range_max;")
    (headers / "params.h").write_text(text)
    script = ROOT / "mcrisk" / "schema.py"
    result = subprocess.run([sys.executable, str(script), str(headers)], capture_output=True, text=True)

    assert result.returncode == 2
    assert result.stderr.startswith("params.h:")
    assert "Traceback" not in result.stderr


def test_every_default_of_the_kernels_parses_and_lies_in_its_range():
    """The real headers."""
    schema = load_schema()
    defaults = default_values(schema)

    assert set(defaults) == {path for path, one in schema.fields.items() if one.source == "default"}


def test_the_kernels_have_the_contract_of_records():
    """The first fields of Record, and outcomes numbered without a gap from invalid to success."""
    schema = load_schema()

    assert list(schema.record_fields)[:2] == ["outcome", "cause"]
    assert next(iter(schema.enums["Outcome"])) == "invalid"
    assert "success" in schema.enums["Outcome"].members
    assert schema.record_dtype().itemsize == 4 * len(schema.record_dtype().names)


@pytest.mark.parametrize("real", [4, 8])
def test_numpy_reads_the_kernels_blocks_with_the_same_size(real):
    """Aligned dtypes of the real headers; every float word is four bytes."""
    schema = load_schema(kernel_folder() / "mcrisk")
    dtype = schema.params_dtype(real)

    assert dtype.itemsize == schema.params_bytes(real)
    assert schema.sample_dtype(real).itemsize == schema.sample_bytes(real)
    assert np.zeros(1, dtype)["world"].nbytes > 0
