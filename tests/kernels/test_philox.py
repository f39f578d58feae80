"""Philox and the numbers made of it: published answers, exact uniforms, distributions, addresses apart."""

import numpy as np
import pytest
import scipy.stats

RUNS = 200_000
WORDS = ["words.a", "words.b", "words.c", "words.d"]
STREAM_FIRST_DISPERSION = 0x40000000


@pytest.fixture
def normals(probe):
    """(runs,) -> (runs, 4): four normal numbers of one address in each run."""
    return probe(
        "philox.h", "normals(make_draws(20261122, run), stream, number)", "unsigned run, int stream, int number"
    )


# ---- known answers


def test_known_answers_of_random123(probe):
    """kat_vectors of Random123 1.14 (D. E. Shaw Research), philox4x32 10: zeros, ones, digits of pi."""
    philox = probe(
        "philox.h",
        WORDS,
        "unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0, unsigned k1",
        prepare="Words4 const words = philox4x32_10({c0, c1, c2, c3}, {k0, k1});",
    )
    ones = 0xFFFFFFFF

    assert philox(0, 0, 0, 0, 0, 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox(ones, ones, ones, ones, ones, ones) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    assert philox(0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0) == (
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    )


def _philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 in Python integers, from equations 5 and 6 of Salmon et al. 2011."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high_0, low_0 = divmod(0xD2511F53 * c0, 2**32)
        high_2, low_2 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high_2 ^ c1 ^ k0, low_2, high_0 ^ c3 ^ k1, low_0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def test_address_is_seed_run_stream_and_number(probe):
    """The key is the seed, the counter (run, stream, number), low word first; runs and seeds beyond 2^32 are others."""
    draw = probe(
        "philox.h",
        WORDS,
        "unsigned seed_low, unsigned seed_high, unsigned run_low, unsigned run_high, unsigned stream, unsigned number",
        prepare="""uint64 const seed = (uint64(seed_high) << 32) + seed_low, run = (uint64(run_high) << 32) + run_low;
                   Words4 const words = make_draws(seed, run).words(stream, number);""",
    )
    high = 2**32 - 1

    for seed in (0, 7, 2**32, 2**32 + 7, 2**64 - 1):
        for run in (0, 3, 2**32 - 1, 2**32, 2**32 + 3, 2**64 - 1):
            for stream, number in ((1, 0), (12, 12345), (STREAM_FIRST_DISPERSION, high), (high, high)):
                halves = (seed & high, seed >> 32, run & high, run >> 32)
                expected = _philox((*halves[2:], stream, number), halves[:2])

                assert draw(*halves, stream, number) == expected


# ---- uniform numbers


def test_uniform_is_the_same_exact_number_in_both_builds(probe):
    """(2 k + 1) 2^-24 with k the top 23 bits: never 0, never 1, nothing rounded."""
    edges = [0, 1, 511, 512, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    words = np.append(np.random.default_rng(1).integers(0, 2**32, 10_000), edges)
    expected = (2.0 * (words >> 9) + 1) * 2.0**-24

    for real in ("float", "double"):
        np.testing.assert_array_equal(
            probe("philox.h", "uniform_open(word)", "unsigned word", real=real)(words), expected
        )
    assert expected.min() == 2.0**-24
    assert expected.max() == 1 - 2.0**-24


def test_uniforms_are_uniform_and_independent(probe):
    """Kolmogorov-Smirnov per component and correlation between components; false alarm 1e-6 each, ten of them."""
    uniforms = probe("philox.h", "uniforms(make_draws(11, run), Stream::camera, 0)", "unsigned run")(np.arange(RUNS))
    correlations = np.corrcoef(uniforms.T)[np.triu_indices(4, 1)]

    for component in uniforms.T:
        assert scipy.stats.kstest(component, "uniform").pvalue > 1e-6
    assert np.abs(correlations).max() < scipy.stats.norm.isf(0.5e-6) / np.sqrt(RUNS)


# ---- normal numbers


def test_normals_are_box_muller_of_the_uniforms(probe):
    """Closed form, in double: r = sqrt(-2 ln u), r cos(2 pi v), r sin(2 pi v)."""
    run = np.arange(1000)
    uniforms = probe("philox.h", "uniforms(make_draws(5, run), 3, 9)", "unsigned run")(run)
    radius = np.sqrt(-2 * np.log(uniforms[:, ::2]))
    angle = 2 * np.pi * uniforms[:, 1::2]
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 4)

    for real, tolerance in (("float", 4e-7), ("double", 2e-15)):  # a few units of the last place of the largest, 5
        got = probe("philox.h", "normals(make_draws(5, run), 3, 9)", "unsigned run", real=real)(run)
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def test_normals_are_standard_normal(normals):
    """800 000 numbers: moments, Kolmogorov-Smirnov, correlation; each false alarm 1e-6 or less, fixed seed."""
    sample = normals(np.arange(RUNS), 8, 0)
    pooled = sample.ravel()
    alarm = scipy.stats.norm.isf(0.5e-6)
    size = pooled.size
    correlations = np.corrcoef(sample.T)[np.triu_indices(4, 1)]
    correlations_of_squares = np.corrcoef(sample.T**2)[np.triu_indices(4, 1)]  # the radius must not be shared

    assert abs(pooled.mean()) < alarm / np.sqrt(size)
    assert abs((pooled**2).mean() - 1) < alarm * np.sqrt(2 / size)
    assert abs((pooled**3).mean()) < alarm * np.sqrt(15 / size)
    assert abs((pooled**4).mean() - 3) < alarm * np.sqrt(96 / size)
    assert scipy.stats.kstest(pooled, "norm").pvalue > 1e-6
    assert np.abs(correlations).max() < alarm / np.sqrt(RUNS)
    assert np.abs(correlations_of_squares).max() < alarm / np.sqrt(RUNS)


def test_tails_are_right_beyond_four_sigma(normals):
    """Binomial counts beyond 3, 3.5, 4 and 4.5 sigma in 8 million numbers; false alarm 1e-6 each side, 16 tests."""
    sample = np.concatenate([normals(np.arange(RUNS), 8, number).ravel() for number in range(1, 11)])

    for limit in (3, 3.5, 4, 4.5):
        beyond = scipy.stats.binom(sample.size, scipy.stats.norm.sf(limit))
        for count in ((sample > limit).sum(), (sample < -limit).sum()):
            assert beyond.ppf(1e-6) <= count <= beyond.isf(1e-6)
    assert 4.5 < np.abs(sample).max() < 5.77


# ---- addresses


def test_streams_do_not_overlap(probe):
    """No two of 300 000 addresses (runs x streams x numbers) share two words; by chance they would once in 4e8."""
    draw = probe(
        "philox.h",
        WORDS,
        "unsigned run, unsigned stream, int number",
        prepare="Words4 const words = make_draws(1, run).words(stream, number);",
    )
    streams = np.append(np.arange(1, 26), STREAM_FIRST_DISPERSION + np.arange(5))
    a, b, *_ = draw(*np.meshgrid(np.arange(100), streams, np.arange(100)))
    pairs = a.astype(np.uint64) << np.uint64(32) | b.astype(np.uint64)

    assert np.unique(pairs).size == pairs.size == 300_000


def test_neighbouring_addresses_are_independent(normals):
    """Same place in the next run, stream and number: correlation below its 1e-6 false-alarm bound."""
    run = np.arange(RUNS)
    here = normals(run, 3, 0)
    bound = scipy.stats.norm.isf(0.5e-6) / np.sqrt(here.size)

    for there in (normals(run + 1, 3, 0), normals(run, 4, 0), normals(run, 3, 1)):
        assert abs(np.corrcoef(here.ravel(), there.ravel())[0, 1]) < bound


def test_adding_a_stream_keeps_the_others(probe):
    """The numbers are part of every stored result: this list is appended to, never changed."""
    names = [
        "delivery_position",
        "delivery_velocity",
        "knowledge_position",
        "knowledge_velocity",
        "star_tracker",
        "gyro_bias",
        "accel_bias",
        "imu_noise",
        "imu_walk",
        "thrust_noise",
        "gravity_anomaly",
        "altimeter",
        "velocimeter",
        "camera",
        "terrain",
        "touchdown",
        "engine",
        "rcs",
        "faults",
    ]
    numbers = probe("streams.h", [f"unsigned(Stream::{name})" for name in names], "")()

    assert numbers == tuple(range(1, 20))
    assert probe("streams.h", "dispersions_first", "")() == STREAM_FIRST_DISPERSION
