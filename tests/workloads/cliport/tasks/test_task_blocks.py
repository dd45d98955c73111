"""Scenes and goals of the tasks with boxes, kits, insertions, towers, pyramids and bowls.

Expectations are typed from CLIPort's code (github.com/cliport/cliport at commit 2be5c47: tasks/*.py and utils/utils.py) and its URDF files,
which are those of Ravens; none is computed from the constants under test. Lengths in metres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from task_table import Table

from cliport.sim.poses import Pose, apply, from_euler, inverse, multiply, pose, yaw_of
from cliport.sim.shapes.kits import figure
from cliport.tasks import make
from cliport.tasks.kits import Hole, side
from cliport.tasks.task import Task

SEEDS = range(20)
TABLE = {
    "blue": (78, 121, 167),
    "red": (255, 87, 89),
    "green": (89, 169, 79),
    "orange": (242, 142, 43),
    "yellow": (237, 201, 72),
    "purple": (176, 122, 161),
    "pink": (255, 157, 167),
    "cyan": (118, 183, 178),
    "brown": (156, 117, 95),
    "white": (255, 255, 255),
    "gray": (186, 176, 172),
}
"""RGB of 0..255, in the order of the original's table."""
TRAINING = {"blue", "red", "green", "yellow", "brown", "gray", "cyan"}
EVALUATION = {"blue", "red", "green", "orange", "purple", "pink", "white"}
STAND = [(0.918, 0.688, 0.559), (0.612, 0.459, 0.373), (0.306, 0.229, 0.186)]
TRAIN_SHAPES = {
    *("letter R shape", "letter A shape", "triangle", "square", "plus", "letter T shape", "diamond", "pentagon", "rectangle", "flower"),
    *("star", "circle", "letter G shape", "letter V shape"),
}
TEST_SHAPES = {"letter E shape", "letter L shape", "ring", "hexagon", "heart", "letter M shape"}
TURNS = {"triangle": 120, "square": 90, "plus": 90, "diamond": 180, "pentagon": 72, "rectangle": 180, "flower": 90, "star": 72, "circle": 0}
TURNS |= {"ring": 0, "hexagon": 60}
"""Smallest turn in degrees after which a shape looks the same; 360 for all others."""


def scenes(name: str, mode: str = "test") -> Iterator[tuple[Task, Table]]:
    for seed in SEEDS:
        task, table = make(name, mode), Table(seed)
        task.reset(table)
        yield task, table


def bodies(table: Table, name: str, category: str | None = None) -> list[int]:
    """The bodies whose shape has this name, of one category or of all."""
    wanted = table.objects[category] if category else [body for found in table.objects.values() for body in found]
    return sorted(body for body in wanted if table.shapes[body].name == name)


def colour(table: Table, body: int) -> str:
    """The name of a body's colour."""
    rgb = np.array(table.colors[body]) * 255
    (found,) = [name for name, wanted in TABLE.items() if np.allclose(rgb, wanted, atol=0.5)]
    return found


def relative(frame: Pose, to: Pose) -> list[float]:
    """x, y, z in metres and yaw in degrees of a pose in a frame."""
    own = multiply(inverse(frame), to)
    return [*np.round(own[0], 6).tolist(), round(float(np.degrees(yaw_of(own))) % 360, 3)]


@pytest.mark.parametrize(
    ("name", "steps", "near", "turn", "goals"),
    [
        ("align-box-corner", 3, 0.01, 15, [1]),
        ("assembling-kits", 10, 0.01, 15, [1]),
        ("assembling-kits-easy", 10, 0.01, 30, [1]),
        ("assembling-kits-seq-seen-colors", 5, 0.01, 15, [1 / 5] * 5),
        ("assembling-kits-seq-unseen-colors", 5, 0.01, 15, [1 / 5] * 5),
        ("assembling-kits-seq-full", 5, 0.01, 15, [1 / 5] * 5),
        ("block-insertion", 3, 0.01, 15, [1]),
        ("block-insertion-easy", 3, 0.01, 15, [1]),
        ("block-insertion-nofixture", 3, 0.01, 15, [1]),
        ("block-insertion-sixdof", 3, 0.02, 15, [1]),
        ("block-insertion-translation", 3, 0.01, 15, [1]),
        ("place-red-in-green", 10, 0.05, 15, [1]),
        ("put-block-in-bowl-seen-colors", None, 0.05, 15, [1]),
        ("put-block-in-bowl-unseen-colors", None, 0.05, 15, [1]),
        ("put-block-in-bowl-full", None, 0.05, 15, [1]),
        ("stack-block-pyramid", 12, 0.01, 15, [1 / 2, 1 / 3, 1 / 6]),
        ("stack-block-pyramid-seq-seen-colors", 12, 0.01, 15, [1 / 6] * 6),
        ("stack-block-pyramid-seq-unseen-colors", 12, 0.01, 15, [1 / 6] * 6),
        ("stack-block-pyramid-seq-full", 12, 0.01, 15, [1 / 6] * 6),
        ("towers-of-hanoi", 14, 0.01, 15, [1 / 7] * 7),
        ("towers-of-hanoi-seq-seen-colors", 14, 0.01, 15, [1 / 7] * 7),
        ("towers-of-hanoi-seq-unseen-colors", 14, 0.01, 15, [1 / 7] * 7),
        ("towers-of-hanoi-seq-full", 14, 0.01, 15, [1 / 7] * 7),
    ],
)
def test_steps_tolerances_and_rewards(name: str, steps: int | None, near: float, turn: float, goals: list[float]) -> None:
    for task, _ in scenes(name):
        assert task.max_steps == (steps or len(task.goals[0].pieces) + 1)  # one mistake in put-block-in-bowl
        assert task.position_tolerance == pytest.approx(near)
        assert np.degrees(task.angle_tolerance) == pytest.approx(turn)
        assert [goal.reward for goal in task.goals] == pytest.approx(goals)
        assert all(goal.zone is None and goal.rotations and not goal.replace for goal in task.goals)
        assert task.ee == "suction"
        assert task.sixdof == name.endswith("sixdof")


@pytest.mark.parametrize("split", ["seen-colors", "unseen-colors", "full"])
@pytest.mark.parametrize("family", ["assembling-kits-seq", "put-block-in-bowl", "stack-block-pyramid-seq", "towers-of-hanoi-seq"])
@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_the_colours_of_what_is_asked_for_are_the_splits(family: str, split: str, mode: str) -> None:
    """In 20 scenes, every colour of the list is drawn; never another one, and no colour twice for what is to be told apart."""
    shown: set[str] = set()
    for task, table in scenes(f"{family}-{split}", mode):
        pieces = {piece.body for goal in task.goals for piece in goal.pieces}
        asked = {colour(table, body) for body in pieces}
        if family == "put-block-in-bowl":
            asked |= {colour(table, body) for body in bodies(table, "bowl", "fixed")}
            assert len(asked) == 2
        else:
            assert len(asked) == len(pieces) == {"a": 5, "s": 6, "t": 3}[family[0]]
        shown |= asked
    unseen = TRAINING if mode == "train" else EVALUATION
    assert shown == {"seen-colors": TRAINING, "unseen-colors": unseen, "full": set(TABLE)}[split]


def test_align_box_corner() -> None:
    sizes = []
    for task, table in scenes("align-box-corner"):
        ((piece,), targets) = task.goals[0].pieces, task.goals[0].targets
        (corner,) = bodies(table, "corner", "fixed")
        assert [len(found) for found in table.objects.values()] == [1, 1, 0]
        x, y, z = table.size(piece.body)
        sizes.append((x, y, z))
        assert table.pose(piece.body)[0][2] == pytest.approx(z / 2)
        assert table.shapes[piece.body].mass == 0.1
        shade = np.array(table.colors[piece.body]) * 255 / (156, 117, 95)
        assert 0.5 <= shade[0] <= 1.5
        assert shade == pytest.approx(shade[0])
        frame = table.pose(corner)
        poses = [relative(frame, target) for target in targets]
        assert poses[0] == [0, 0, 0, 0]
        assert poses[1][3] == 90
        assert poses[2] == [0, 0, 0, 180]
        assert poses[3][3] == 270
        for at in (poses[1], poses[3]):  # its sides exchanged: the same corner is filled
            assert at[:2] == pytest.approx([(x - y) / 2, (y - x) / 2], abs=1e-5)
        assert piece.symmetry == pytest.approx(2 * np.pi)
        assert task.goals[0].matches.all()
        assert task.lang_goals == ["align the brown box with the green corner"]
        vertices = table.shapes[corner].vertices  # two strips of 0.055 x 0.005 that meet outside the corner (+x, +y) of the box
        assert table.shapes[corner].color == (0, 1, 0)
        assert not table.shapes[corner].solids
        assert vertices[:, :2].max(0) == pytest.approx([x / 2 + 0.005, y / 2 + 0.005])
        assert vertices[:, :2].min(0) == pytest.approx([x / 2 + 0.005 - 0.055, y / 2 + 0.005 - 0.055])
    low, high = np.min(sizes, 0), np.max(sizes, 0)
    assert (low >= [0.05, 0.05, 0.01]).all()
    assert (high <= [0.15, 0.15, 0.06]).all()
    assert low[2] < 0.02  # also flat ones
    assert (high - low > [0.06, 0.06, 0.03]).all()


KITS = ("assembling-kits", "assembling-kits-easy", "assembling-kits-seq-full")


@pytest.mark.parametrize("name", KITS)
def test_a_kit_has_five_outlines_and_a_piece_for_each(name: str) -> None:
    spots = [(-0.09, 0.045), (0, 0.045), (0.09, 0.045), (-0.045, -0.045), (0.045, -0.045)]
    turns = []
    for task, table in scenes(name):
        (board,) = bodies(table, "kit", "fixed")
        assert table.size(board) == pytest.approx((0.28, 0.2, 0.005))
        assert table.shapes[board].color == pytest.approx((0.612, 0.459, 0.373))
        frame = table.pose(board)
        assert frame[0][2] == pytest.approx(0.0025)
        outlines = sorted(set(table.objects["fixed"]) - {board})
        pieces = table.objects["rigid"]
        assert len(outlines) == len(pieces) == 5
        for outline, piece, spot in zip(outlines, pieces, spots, strict=True):
            shape, thing = table.shapes[outline], table.shapes[piece]
            assert shape.name == f"{thing.name} outline"
            assert shape.color == (0.2, 0.2, 0.2)
            assert relative(frame, table.pose(outline))[:3] == pytest.approx([*spot, 0.0014 + 0.001], abs=1e-6)
            turns.append(yaw_of(table.pose(outline)))
            assert max(thing.size) == pytest.approx({"diamond": 0.075, "rectangle": 0.075}.get(thing.name, 0.06))
            assert (thing.size[2], thing.mass, table.pose(piece)[0][2]) == pytest.approx((0.02, 0.1, 0.01))
            if "seq" not in name:
                assert colour(table, piece) == ("purple", "blue", "green", "yellow", "red")[pieces.index(piece)]
        for goal in task.goals:
            for piece in goal.pieces:
                wanted = TURNS.get(table.shapes[piece.body].name, 360)
                assert np.degrees(piece.symmetry) == pytest.approx(wanted)
            for target in goal.targets:  # on an outline, at its yaw
                assert min(np.linalg.norm((target[0] - table.pose(outline)[0])[:2]) for outline in outlines) < 1e-9
    assert np.ptp(turns) > 5  # radians


def test_pieces_of_a_kit_belong_to_every_outline_of_their_shape() -> None:
    for task, table in scenes("assembling-kits", "test"):
        names = [table.shapes[piece.body].name for piece in task.goals[0].pieces]
        assert task.goals[0].matches.tolist() == [[one == other for other in names] for one in names]
        assert task.lang_goals == ["put all the blocks inside the holes they fit in"]


@pytest.mark.parametrize(
    ("name", "mode", "wanted"),
    [
        ("assembling-kits", "train", TRAIN_SHAPES),
        ("assembling-kits", "val", TEST_SHAPES),
        ("assembling-kits-easy", "train", (TRAIN_SHAPES | TEST_SHAPES) - {"square", "circle"}),
        ("assembling-kits-easy", "test", {"square", "circle"}),
        ("assembling-kits-seq-seen-colors", "train", TRAIN_SHAPES),
        ("assembling-kits-seq-unseen-colors", "test", TEST_SHAPES),
        ("assembling-kits-seq-full", "train", TRAIN_SHAPES | TEST_SHAPES),
        ("assembling-kits-seq-full", "test", TRAIN_SHAPES | TEST_SHAPES),
    ],
)
def test_shapes_by_mode_are_drawn_with_replacement(name: str, mode: str, wanted: set[str]) -> None:
    drawn = [[table.shapes[body].name for body in table.objects["rigid"]] for _, table in scenes(name, mode)]
    assert {shape for scene in drawn for shape in scene} == wanted
    kinds = [len(set(scene)) for scene in drawn]
    if name == "assembling-kits-easy" and mode == "test":
        assert kinds == [1] * len(SEEDS)
    else:
        expected = len(wanted) * (1 - (1 - 1 / len(wanted)) ** 5)  # 4.3 of 14, 3.6 of 6
        assert np.mean(kinds) == pytest.approx(expected, abs=0.5)
        assert min(kinds) < 5


def test_a_named_hole_takes_its_own_piece_alone() -> None:
    """Top and bottom if it is further in x than in y from all others of its shape, then left, right, middle."""
    said: Counter[str] = Counter()
    for task, table in [scene for name in ("assembling-kits-seq-seen-colors", "assembling-kits-seq-full") for scene in scenes(name)]:
        pieces = table.objects["rigid"]
        outlines = sorted(body for body in table.objects["fixed"] if table.shapes[body].name != "kit")
        places = {piece: table.pose(outline)[0][:2] for piece, outline in zip(pieces, outlines, strict=True)}
        assert sorted(goal.pieces[0].body for goal in task.goals) == sorted(pieces)
        for goal in task.goals:
            body = goal.pieces[0].body
            assert goal.matches.tolist() == [[True]]
            assert np.allclose(goal.targets[0][0][:2], places[body])
            shape = table.shapes[body].name
            away = [places[body] - at for other, at in places.items() if other != body and table.shapes[other].name == shape]
            where = ""
            if away:
                along = all(abs(x) > abs(y) for x, y in away)
                where = "middle "
                if all(y > 0 for _, y in away):
                    where = "right "
                if all(y < 0 for _, y in away):
                    where = "left "
                if along and all(x > 0 for x, _ in away):
                    where = "bottom "
                if along and all(x < 0 for x, _ in away):
                    where = "top "
            assert goal.instruction == f"put the {colour(table, body)} {shape} in the {where}{shape} hole"
            said[where] += 1
    assert set(said) >= {"", "top ", "bottom ", "left ", "right "}
    orders = {
        tuple(table.objects["rigid"].index(goal.pieces[0].body) for goal in task.goals)
        for task, table in scenes("assembling-kits-seq-full")
    }
    assert len(orders) > 10


def test_the_flower_has_four_petals() -> None:
    """The original's mesh 09 is a square of half the width with a disc on each side."""
    points = np.concatenate(figure("flower", 0.06))
    assert np.ptp(points, axis=0) == pytest.approx([0.06, 0.06])
    assert np.abs(points.sum(1)).max() / 2**0.5 == pytest.approx(0.015 / 2**0.5 + 0.015, abs=6e-4)  # no petal between them


def test_of_three_holes_in_a_row_one_is_the_middle() -> None:
    row = [Hole("star", from_euler((0.5, y, 0))) for y in (-0.09, 0.0, 0.09)]
    assert [side(hole, [other for other in row if other is not hole]) for hole in row] == ["left ", "middle ", "right "]
    column = [Hole("star", from_euler((x, 0.01 * x, 0))) for x in (0.4, 0.5, 0.6)]
    assert [side(hole, [other for other in column if other is not hole]) for hole in column] == ["top ", "middle ", "bottom "]
    assert side(row[0], []) == ""


@pytest.mark.parametrize("name", ["block-insertion", "block-insertion-easy", "block-insertion-nofixture", "block-insertion-translation"])
def test_an_insertion(name: str) -> None:
    for task, table in scenes(name):
        (block,) = table.objects["rigid"]
        goal = task.goals[0]
        ((x, y, z), turn), target = table.pose(block), goal.targets[0]
        assert table.shapes[block].color == pytest.approx((1, 0.3412, 0.349))
        assert table.shapes[block].mass == 0.1
        assert table.size(block) == pytest.approx((0.08, 0.08, 0.04))
        assert (z, target[0][2]) == pytest.approx((0.02, 0.02))
        if name == "block-insertion-nofixture":
            assert not table.objects["fixed"]
        else:
            (fixture,) = table.objects["fixed"]
            assert table.pose(fixture) == goal.targets[0]
            assert table.shapes[fixture].color == pytest.approx(np.array([186, 176, 172]) / 255)
        if name in ("block-insertion-easy", "block-insertion-translation"):
            assert np.degrees([yaw_of((np.zeros(3), turn)), yaw_of(target)]) == pytest.approx([90, 90])
        if name == "block-insertion-easy":
            assert (x, y) == (0.5, 0)
        assert goal.pieces[0].symmetry == pytest.approx(2 * np.pi)
        assert task.lang_goals == ["put the L shape block in the L shape hole"]


def test_an_insertion_in_six_degrees_of_freedom() -> None:
    found = []
    for task, table in scenes("block-insertion-sixdof"):
        (fixture,) = table.objects["fixed"]
        assert table.pose(fixture) == task.goals[0].targets[0]
        position, (x, y, z, w) = table.pose(fixture)
        roll, pitch = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)), np.arcsin(2 * (w * y - z * x))
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        found.append([position[2], *np.degrees([roll, pitch, yaw])])
    low, high = np.min(found, 0), np.max(found, 0)
    assert (low[:3] >= [0.05, -45, -45]).all()
    assert (high[:3] <= [0.15, 45, 45]).all()
    assert (high - low > [0.06, 60, 60, 200]).all()


@pytest.mark.parametrize("name", ["towers-of-hanoi", "towers-of-hanoi-seq-full"])
def test_towers_of_hanoi(name: str) -> None:
    sides = ["lighter brown side", "middle of the stand", "darker brown side"]
    # The smallest ring is 2. From the lighter side to the darker one: the shortest solution, which is unique.
    solution = [(2, 2), (1, 1), (2, 1), (0, 2), (2, 0), (1, 2), (2, 2)]
    for task, table in scenes(name):
        (stand,) = table.objects["fixed"]
        rings, frame, shape = table.objects["rigid"], table.pose(stand), table.shapes[stand]
        assert frame[0][2] == pytest.approx(0.005)
        assert shape.size == pytest.approx((0.12, 0.36, 0.06))  # base and rods: from -0.005 to 0.055
        for number, brown in enumerate(STAND):
            assert shape.meshes[number].color == pytest.approx(brown, abs=2e-3)
            assert shape.meshes[number].vertices.mean(0) == pytest.approx([0, (-0.12, 0, 0.12)[number], 0])
        assert [round(table.size(ring)[0], 3) for ring in rings] == [0.08, 0.07, 0.06]
        for number, ring in enumerate(rings):
            assert (table.size(ring)[2], table.shapes[ring].mass) == pytest.approx((0.01, 0.1))
            assert relative(frame, table.pose(ring))[:3] == pytest.approx([0, -0.12, 0.03 + 0.015 * (number - 1)])
        if name == "towers-of-hanoi":
            assert [colour(table, ring) for ring in rings] == ["green", "yellow", "red"]
            assert task.lang_goals == ["solve towers of hanoi"] * 7
        else:
            assert task.lang_goals == [f"move the {colour(table, rings[ring])} ring to the {sides[rod]}" for ring, rod in solution]
        for goal, (ring, rod) in zip(task.goals, solution, strict=True):
            (piece,), (target,) = goal.pieces, goal.targets
            assert (piece.body, piece.symmetry) == (rings[ring], 0)
            assert apply(inverse(frame), target[0]) == pytest.approx([0, (-0.12, 0, 0.12)[rod], 0.03])


PLACES = [(0, -0.05, 0.03), (0, 0, 0.03), (0, 0.05, 0.03), (0, -0.025, 0.08), (0, 0.025, 0.08), (0, 0, 0.13)]


@pytest.mark.parametrize("name", ["stack-block-pyramid", "stack-block-pyramid-seq-full"])
def test_a_pyramid(name: str) -> None:
    for task, table in scenes(name):
        (stand,) = table.objects["fixed"]
        blocks, frame = table.objects["rigid"], table.pose(stand)
        assert table.size(stand) == pytest.approx((0.05, 0.15, 0.005))
        assert frame[0][2] == pytest.approx(0.0025)
        for mesh, brown, y in zip(table.shapes[stand].meshes, STAND, (-0.05, 0, 0.05), strict=True):
            assert mesh.color == pytest.approx(brown, abs=2e-3)
            assert mesh.vertices.mean(0) == pytest.approx([0, y, 0])
        assert len(blocks) == 6
        assert all(table.size(block) == pytest.approx((0.04,) * 3) and table.shapes[block].mass == 0.01 for block in blocks)
        names = [colour(table, block) for block in blocks]
        a, b, c, d, e, f = names
        if name == "stack-block-pyramid":
            assert names == ["purple", "blue", "green", "yellow", "orange", "red"]
            groups = [(0, 1, 2), (3, 4), (5,)]
            said = [
                "make the bottom row with the green, blue and purple blocks",
                "make the middle row with the yellow and orange blocks",
                "make the top row with the red block",
            ]
        else:
            groups = [(number,) for number in range(6)]
            said = [
                f"put the {a} block on the lightest brown block",
                f"put the {b} block on the middle brown block",
                f"put the {c} block on the darkest brown block",
                f"put the {d} block on the {a} and {b} blocks",
                f"put the {e} block on the {b} and {c} blocks",
                f"put the {f} block on the {d} and {e} blocks",
            ]
        assert task.lang_goals == said
        for goal, group in zip(task.goals, groups, strict=True):
            assert [piece.body for piece in goal.pieces] == [blocks[number] for number in group]
            assert all(piece.symmetry == pytest.approx(np.pi / 2) for piece in goal.pieces)
            assert [relative(frame, target) for target in goal.targets] == [[*PLACES[number], 0] for number in group]
            assert goal.matches.all()


@pytest.mark.parametrize("name", ["place-red-in-green", "put-block-in-bowl-seen-colors", "put-block-in-bowl-full"])
def test_blocks_and_bowls(name: str) -> None:
    counts, kinds = Counter[tuple[int, int]](), Counter[str]()
    for task, table in scenes(name):
        goal = task.goals[0]
        bowls = table.objects["fixed"]
        blocks = [piece.body for piece in goal.pieces]
        others = [body for body in table.objects["rigid"] if body not in blocks]
        counts[len(bowls), len(blocks)] += 1
        pick, place = colour(table, blocks[0]), colour(table, bowls[0])
        if name == "place-red-in-green":
            assert (pick, place) == ("red", "green")
            assert task.lang_goals == ["put the red blocks in a green bowl"]
        else:
            assert task.lang_goals == [f"put the {pick} blocks in a {place} bowl"]
            assert pick != place
        assert {colour(table, body) for body in blocks} == {pick}
        assert {colour(table, body) for body in bowls} == {place}
        assert all(table.size(body) == pytest.approx((0.04,) * 3) and table.shapes[body].mass == 0.01 for body in blocks)
        assert goal.matches.tolist() == [[True] * len(bowls)] * len(blocks)
        assert all(piece.symmetry == 0 for piece in goal.pieces)
        for body, target in zip(bowls, goal.targets, strict=True):  # its middle is 0.027 off its frame, which is the target
            assert table.shapes[body].name == "bowl"
            assert table.size(body) == pytest.approx((0.114, 0.114, 0.035), abs=1e-3)
            assert np.linalg.norm((table.pose(body)[0] - target[0])[:2]) == pytest.approx(0.027)
        assert len(others) == 6  # all movable, in the k-th of the colours left in the table
        for number, body in enumerate(others):
            shape = table.shapes[body].name
            kinds[shape] += 1
            if name == "place-red-in-green":
                left = [known for known in TABLE if known != ("red" if shape == "box" else "green")]
            else:
                left = [known for known in TABLE if known not in (pick, place)]
            assert colour(table, body) == left[number]
    assert set(counts) <= {(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)}
    assert {bowls for bowls, _ in counts} == {1, 2, 3}
    assert 35 < kinds["bowl"] < 85  # of 120


def test_a_free_place_is_asked_for_by_the_originals_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all are the real ones: kit pieces, the L and its fixture, and bowls."""
    asked: dict[str, set[tuple[float, ...]]] = {}
    for name in (
        "assembling-kits",
        "block-insertion",
        "block-insertion-sixdof",
        "place-red-in-green",
        "towers-of-hanoi",
        "stack-block-pyramid",
    ):
        sizes = asked.setdefault(name, set())
        free = Table.random_pose

        def random_pose(self: Table, size: tuple[float, ...], sizes: set[tuple[float, ...]] = sizes, free=free) -> Pose | None:  # type: ignore[no-untyped-def]
            sizes.add(tuple(round(float(side), 6) for side in size))
            return free(self, size)

        with monkeypatch.context() as patch:
            patch.setattr(Table, "random_pose", random_pose)
            list(scenes(name))
    assert asked == {
        "assembling-kits": {(0.28, 0.2, 0.005), (0.08, 0.08, 0.02)},
        "block-insertion": {(0.1, 0.1, 0.04)},
        "block-insertion-sixdof": {(0.1, 0.1, 0.04)},
        "place-red-in-green": {(0.12, 0.12, 0.0), (0.04, 0.04, 0.04)},
        "towers-of-hanoi": {(0.12, 0.36, 0.01)},
        "stack-block-pyramid": {(0.05, 0.15, 0.005), (0.04, 0.04, 0.04)},
    }


# What counts


def scene_of(name: str, holds: int = 1) -> tuple[Task, Table]:
    """The first scene of a task with at least so many pieces in its first goal."""
    return next((task, table) for task, table in scenes(name) if len(task.goals[0].pieces) >= holds)


def test_two_blocks_in_one_bowl_count() -> None:
    task, table = scene_of("put-block-in-bowl-full", holds=2)
    goal = task.goals[0]
    for number, piece in enumerate(goal.pieces):
        table.poses[piece.body] = multiply(goal.targets[0], pose((0.027, 0, 0.024 + 0.04 * number)))
    assert task.reward() == (pytest.approx(1), {"goals": 1, "differs": [found.short for found in task.differs]})


def test_a_block_counts_anywhere_in_the_bowl_and_not_beside_it() -> None:
    task, table = scene_of("place-red-in-green")
    goal = task.goals[0]
    body, share = goal.pieces[0].body, 1 / len(goal.pieces)
    table.poses[body] = multiply(goal.targets[0], from_euler((0.027 + 0.015, 0, 0.024), yaw=1.0))
    assert task.reward()[0] == pytest.approx(share)
    table.poses[body] = multiply(goal.targets[0], from_euler((0.027 + 0.057 + 0.02, 0, 0.02)))
    assert task.reward()[0] == pytest.approx(-share)


def test_a_block_of_the_pyramid_counts_at_a_wrong_level_too() -> None:
    task, table = scene_of("stack-block-pyramid-seq-full")
    (piece,), (target,) = task.goals[0].pieces, task.goals[0].targets
    table.poses[piece.body] = multiply(target, from_euler((0, 0, 0.1), yaw=np.pi / 2))
    assert task.reward()[0] == pytest.approx(1 / 6)


def test_a_ring_counts_at_its_rod_at_any_height() -> None:
    task, table = scene_of("towers-of-hanoi")
    (piece,), (target,) = task.goals[0].pieces, task.goals[0].targets
    table.poses[piece.body] = from_euler(target[0] + [0.009, 0, 0.05], yaw=2.0)
    assert task.reward()[0] == pytest.approx(1 / 7)
    task, table = scene_of("towers-of-hanoi")
    (piece,), (target,) = task.goals[0].pieces, task.goals[0].targets
    table.poses[piece.body] = from_euler(target[0] + [0.011, 0, 0])
    assert task.reward()[0] == 0


def test_the_box_counts_in_four_poses() -> None:
    for turn in range(4):
        task, table = scene_of("align-box-corner")
        (piece,), targets = task.goals[0].pieces, task.goals[0].targets
        assert table.size(piece.body)[0] != pytest.approx(table.size(piece.body)[1], abs=0.02)
        table.poses[piece.body] = multiply(targets[0], from_euler((0, 0, 0.02), yaw=turn * np.pi / 2))
        assert task.reward()[0] == (turn % 2 == 0)  # about the middle of the outline, its sides are not exchanged
        table.poses[piece.body] = targets[turn]
        task.reward()
        assert task.done()


def test_the_invisible_fixture_is_where_the_block_counts() -> None:
    task, table = scene_of("block-insertion-nofixture")
    (piece,), (target,) = task.goals[0].pieces, task.goals[0].targets
    table.poses[piece.body] = multiply(target, from_euler((0, 0, 0), yaw=np.pi))
    assert task.reward()[0] == 0
    table.poses[piece.body] = multiply(target, from_euler((0.006, 0.006, 0), yaw=0.2))
    assert task.reward()[0] == 1


def test_a_piece_of_a_kit_counts_on_any_outline_of_its_shape_but_on_its_own_in_sequence() -> None:
    task, table = next((task, table) for task, table in scenes("assembling-kits") if (task.goals[0].matches.sum(1) > 1).any())
    goal = task.goals[0]
    number = int((goal.matches.sum(1) > 1).argmax())
    other = next(column for column in range(5) if goal.matches[number, column] and column != number)
    table.poses[goal.pieces[number].body] = goal.targets[other]
    assert task.reward()[0] == pytest.approx(1 / 5)
    for task, table in scenes("assembling-kits-seq-full"):
        here, there = task.goals[:2]
        table.poses[here.pieces[0].body] = there.targets[0]
        assert task.reward()[0] == 0
