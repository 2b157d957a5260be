from pathlib import Path

import pytest

from app.core.config import load_effective, load_settings
from app.core.errors import Misconfigured


def test_environment_wins_over_file_and_file_over_default(tmp_path: Path):
    (tmp_path / "citewell.toml").write_text('model = "ollama/a"\n[limits]\nconcurrency = 3\nquestion_chars = 10\n')

    found = load_effective({"CITEWELL_LIMITS__CONCURRENCY": "5", "CITEWELL_HOME": str(tmp_path)})

    assert (found.settings.model, found.settings.limits.concurrency, found.settings.limits.question_chars) == ("ollama/a", 5, 10)
    assert found.settings.limits.body_bytes == 1_048_576
    assert (found.origins["model"], found.origins["limits.concurrency"]) == ("citewell.toml", "environment")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CITEWELL_MODLE", "model"),
        ("CITEWELL_LIMITS__CONCURENCY", "limits.concurrency"),
        ("CITEWELL_LMITS__CONCURRENCY", "limits.concurrency"),
    ],
)
def test_an_unknown_name_is_an_error_that_suggests_the_nearest(name: str, near: str):
    with pytest.raises(Misconfigured, match=f"Did you mean `{near}`"):
        load_settings({name: "1"})


def test_an_unknown_section_in_the_file_is_an_error(tmp_path: Path):
    (tmp_path / "citewell.toml").write_text("[lmits]\nconcurrency = 3\n")

    with pytest.raises(Misconfigured, match=r"lmits\.concurrency"):
        load_settings({})


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_value_out_of_range_names_its_setting(value: str):
    with pytest.raises(Misconfigured, match=r"limits\.concurrency"):
        load_settings({"CITEWELL_LIMITS__CONCURRENCY": value})


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "citewell.toml").write_text("model = \n")

    with pytest.raises(Misconfigured, match=r"citewell\.toml can't be read"):
        load_settings({})
    with pytest.raises(Misconfigured, match="no such file"):
        load_settings({"CITEWELL_CONFIG": str(tmp_path / "absent.toml")})


def test_secrets_are_masked_wherever_settings_are_shown():
    env = {"CITEWELL_MODEL_API_KEY": "sk-secret", "CITEWELL_DATABASE_URL": "postgresql+psycopg://me:hunter2@db/x"}

    found = load_effective(env)

    shown = repr(found) + repr(found.rows())
    assert "sk-secret" not in shown
    assert "hunter2" not in repr(found.rows())
    assert ("database_url", "postgresql+psycopg://me:********@db/x", "environment") in found.rows()


def test_cors_origins_are_a_list():
    assert load_settings({"CITEWELL_CORS_ORIGINS": "https://a.example, https://b.example"}).cors_origins == (
        "https://a.example",
        "https://b.example",
    )


def test_what_depends_on_home_follows_it(tmp_path: Path):
    found = load_settings({"CITEWELL_HOME": str(tmp_path / "h")})

    assert found.database_url == f"sqlite:///{tmp_path / 'h' / 'citewell.db'}"
    assert found.cache_dir == tmp_path / "h" / "cache"
