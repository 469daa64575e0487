"""Pictures of a lesson replace those of an earlier look, and nothing else."""

from tools.lab.screenshots import fresh_folder


def test_only_pictures_of_an_earlier_look_go(tmp_path):
    folder = tmp_path / "04_feature_extraction"  # where `course.py run` may have results, too
    folder.mkdir()
    for name in ("light-1300-00.png", "dark-700-12.png", "mine.png", "20260102-030405.ipynb"):
        (folder / name).touch()
    assert fresh_folder(folder) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["20260102-030405.ipynb", "mine.png"]
    assert fresh_folder(tmp_path / "new/06").is_dir()
