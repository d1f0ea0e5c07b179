"""Tasks whose answer stands far before the question: made so that they can be solved, and only from where it stands."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass, label
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqsci.data.long_range import (
    ANNOUNCE,
    ASK,
    FIRST,
    associative_recall,
    copying,
    far_cause,
    listops,
    passkey,
    pathfinder,
)
from seqsci.data.long_range.pathfinder import _pictures
from seqsci.errors import SeqsciError


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(2, 14), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_a_passkey_stands_once_before_the_last_segment(seed: int, segments: int, length: int, values: int):
    tokens, answers = passkey(seed, 20, segments=segments, length=length, values=values)
    assert tokens.shape == answers.shape == (20, segments * length + 1)
    assert (answers.sum(1) == 1).all() and answers[:, -1].all() and (tokens[:, -2] == ASK).all()
    for row in tokens:
        (place,) = np.flatnonzero(row == ANNOUNCE)
        assert place // length == (place + 1) // length < segments - 1
        assert row[place + 1] == row[-1] and FIRST <= row[-1] < FIRST + values
        between = np.delete(row[:-2], [place, place + 1])
        assert (between >= FIRST + values).all()


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(2, 14))
@settings(max_examples=40, deadline=None)
def test_each_segment_holds_a_pair_and_one_of_them_is_asked_for(seed: int, pairs: int, length: int):
    tokens, answers = associative_recall(seed, 20, pairs=pairs, length=length)
    assert tokens.shape == (20, pairs * length + 3) and (answers.sum(1) == 1).all() and answers[:, -1].all()
    for row in tokens:
        places = np.flatnonzero((row[:-3] >= FIRST) & (row[:-3] < FIRST + 8))
        assert (places // length == np.arange(pairs)).all() and len(set(row[places])) == pairs
        known = dict(zip(row[places], row[places + 1], strict=True))
        assert row[-3] == ASK and known[row[-2]] == row[-1]


def test_copying_tells_the_symbols_again():
    tokens, answers = copying(3, 50, symbols=5, gap=7)
    assert tokens.shape == (50, 18) and (tokens[:, 5:12] == ANNOUNCE).all() and (tokens[:, 12] == ASK).all()
    assert (tokens[answers].reshape(50, 5) == tokens[:, :5]).all() and len(np.unique(tokens[:, :5])) == 8


def test_seeds():
    makes = (
        lambda seed: passkey(seed, 9, segments=3, length=12),
        lambda seed: associative_recall(seed, 9, pairs=3, length=12),
        lambda seed: copying(seed, 9),
        lambda seed: (listops(seed, 9, least=20, most=20).tokens,),
        lambda seed: (pathfinder(seed, 3, size=12).pixels,),
        lambda seed: (far_cause(seed, 9).context,),
    )
    for make in makes:
        assert (make(1)[0] == make(1)[0]).all() and (make(1)[0] != make(2)[0]).any()


def test_no_room():
    with pytest.raises(SeqsciError, match="at least 2"):
        passkey(0, 1, segments=1, length=12)
    with pytest.raises(SeqsciError, match="9 pairs of 8 keys"):
        associative_recall(0, 1, pairs=9, length=12)


def worked_out(text: str) -> tuple[int, int, int]:
    """By a stack, from the text alone: what a list comes to, its depth, and the most arguments of an operator."""
    stack: list[list] = [["", []]]
    deepest = most = 0
    for word in text.split():
        if word.startswith("["):
            stack.append([word[1:], []])
            deepest = max(deepest, len(stack))
        elif word == "]":
            name, values = stack.pop()
            ordered, count = sorted(values), len(values)
            middle = (ordered[(count - 1) // 2] + ordered[count // 2]) // 2
            stack[-1][1].append({"MIN": ordered[0], "MAX": ordered[-1], "MED": middle, "SM": sum(values) % 10}[name])
            most = max(most, count)
        else:
            stack[-1][1].append(int(word))
    ((_, (answer,)),) = stack
    return answer, deepest, most


@given(st.integers(0, 2**31), st.integers(5, 8), st.integers(4, 10), st.integers(4, 20))
@settings(max_examples=30, deadline=None)
def test_listops_come_to_what_a_stack_makes_of_them(seed: int, depth: int, arguments: int, least: int):
    made = listops(seed, 20, least=least, most=least + 40, depth=depth, arguments=arguments)
    assert (made.mask.sum(1) >= least).all() and (made.mask.sum(1) <= least + 40).all()
    assert (made.tokens[~made.mask] == 0).all() and (made.mask[:, :-1] >= made.mask[:, 1:]).all()
    for row in range(20):
        answer, deepest, most = worked_out(made.spelled(row))
        assert answer == made.answers[row] and deepest <= depth and 2 <= most <= arguments


def test_listops_of_the_published_lengths():
    made = listops(1, 400)
    lengths, shares = made.mask.sum(1), np.bincount(made.answers, minlength=10) / 400
    assert lengths.min() >= 500 and lengths.max() <= 2000 and lengths.std() > 200
    # MIN and MAX at the root make 0 and 9 the commonest answers; each digit is one.
    assert shares.min() > 0.02 and shares.max() < 0.25 and set(np.argsort(shares)[-2:]) == {0, 9}
    kinds = np.bincount(made.tokens[made.mask], minlength=15)
    assert kinds[10:14].sum() == kinds[14]
    assert np.allclose(kinds[10:14] / kinds[14], 0.25, atol=0.01) and np.allclose(
        kinds[:10] / kinds[:10].sum(), 0.1, atol=0.01
    )
    assert max(worked_out(made.spelled(row))[1] for row in range(100)) == 10


def test_listops_that_cannot_be():
    with pytest.raises(SeqsciError, match="at least 2 arguments"):
        listops(0, 1, arguments=1)
    with pytest.raises(SeqsciError, match="none has 500 to 2000 tokens"):
        listops(0, 1, depth=2)


@pytest.fixture(scope="module")
def images():
    return pathfinder(3, 3000, size=16)


@pytest.fixture(scope="module")
def dots(images):
    """(R, 4): row and column of either dot, found in the pixels."""
    found = np.zeros((len(images.images), 4))
    for row, image in enumerate(images.images):
        pieces, count = label(image > 200, np.ones((3, 3)))
        assert count == 2
        found[row] = np.ravel(center_of_mass(image, pieces, [1, 2]))
    return found


def test_pathfinder_is_balanced_and_has_two_dots(images, dots):
    assert images.pixels.shape == (3000, 256) and images.pixels.dtype == np.uint8 and images.joined.sum() == 1500
    assert np.abs(np.hypot(*(dots[:, :2] - dots[:, 2:]).T) - images.apart).max() < 1  # to within a pixel
    assert images.apart.min() > 4


def test_pathfinder_has_no_shortcut(images, dots):
    half, joined = 1500, images.joined
    pixels = images.pixels / 255.0
    ink = np.stack([pixels.mean(1), (pixels > 0).mean(1), (pixels**2).mean(1)], 1)
    apart = images.apart[:, None]
    linear, trees = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)), HistGradientBoostingClassifier()
    tried = {
        "pixels": (linear, pixels),
        "ink": (linear, ink),
        "distance": (linear, np.concatenate([apart, apart**2], 1)),
        # Not only in the mean: nothing that can be made of where the dots stand, how far apart, and of how much ink.
        "places": (trees, np.concatenate([dots, apart], 1)),
        "inks": (trees, np.concatenate([ink, apart], 1)),
    }
    for name, (model, features) in tried.items():
        right = model.fit(features[:half], joined[:half]).score(features[half:], joined[half:])
        assert abs(right - 0.5) < 0.045, name  # 1500 rows: 3.5 standard deviations


@given(st.integers(0, 2**31), st.integers(14, 40))
@settings(max_examples=20, deadline=None)
def test_a_kite_has_curves_on_two_sides_and_its_mirror_image_finds_room(seed: int, size: int):
    for curves, corners in islice(_pictures(np.random.default_rng(seed), size), 5):
        ends = [curves[0][0], curves[0][-1], curves[1][-1], curves[1][0]]
        sides = np.abs(corners - np.roll(corners, -1))
        assert np.allclose(ends, corners) and np.allclose(sides[[0, 2]], sides[[1, 3]]) and sides.min() > 4
        axis = (corners[3] - corners[1]) / abs(corners[3] - corners[1])
        mirrored = corners[1] + axis**2 * (np.concatenate(curves[:2]) - corners[1]).conj()
        for points in (mirrored, *curves):
            both = np.stack([points.real, points.imag])
            assert both.min() > 1 - 1e-9 and both.max() < size - 2 + 1e-9


def test_the_mean_pathfinder_image_is_the_same_either_way(images):
    pixels, joined = images.pixels / 255.0, images.joined.astype(float)
    draw = np.random.default_rng(0)
    signs = 2 * np.stack([joined, *(draw.permutation(joined) for _ in range(500))]) - 1
    differences = ((signs @ pixels) ** 2 / (pixels.var(0) + 1e-9)).sum(1)
    assert differences[0] < differences[1:].max()


def test_pathfinder_is_solved_by_following_the_dashes():
    made = pathfinder(5, 600, size=32)
    right = 0
    for image, joined in zip(made.images, made.joined, strict=True):
        pieces, _ = label(image > 0, np.ones((3, 3)))
        ends = pieces[image > 200]
        right += (ends.min() == ends.max()) == joined
    assert right / 600 > 0.88  # where a dash comes near another curve the two touch


def test_pathfinder_too_small():
    with pytest.raises(SeqsciError, match="at least 12"):
        pathfinder(0, 1, size=8)


@given(st.integers(0, 2**31), st.integers(8, 60), st.integers(3, 12))
@settings(max_examples=20, deadline=None)
def test_a_far_cause_is_told_once_and_far_enough(seed: int, length: int, horizon: int):
    distance = length // 2
    made = far_cause(seed, 30, length=length, distance=distance, horizon=horizon)
    rows = np.arange(30)
    assert (length - made.place >= distance).all() and (made.place >= 1).all()
    assert (made.context[rows, made.place - 1] == 6).all()
    assert np.allclose(made.context[rows, made.place], made.cause, atol=1e-6)
    assert (np.delete(np.abs(made.context[0]), made.place[0] - 1) < 6).all()


def test_the_floor_of_a_far_cause_and_what_the_blind_reach():
    made = far_cause(2, 20_000)
    wave = np.sqrt(2) * np.cos(2 * np.pi * np.arange(1, 9) / 8)
    known = ((made.horizon - made.cause[:, None] * wave) ** 2).mean()
    assert known == pytest.approx(made.floor, rel=0.02) and made.floor == pytest.approx(0.09)
    assert (made.horizon**2).mean() == pytest.approx(made.blind, rel=0.02)
    # A linear forecast of the whole context is as good as blind: only the place behind the mark tells the cause.
    ridge = Ridge(1.0).fit(made.context[:15_000], made.horizon[:15_000])
    assert ((ridge.predict(made.context[15_000:]) - made.horizon[15_000:]) ** 2).mean() > 0.95 * made.blind


def test_a_far_cause_without_room():
    with pytest.raises(SeqsciError, match="from 1 to 9"):
        far_cause(0, 1, length=10, distance=10)
