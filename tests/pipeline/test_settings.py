"""Configurations: what is read, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from pipeline.local import choose_settings
from pipeline.settings import Settings, config_names, load_settings, with_values


@pytest.fixture
def write(tmp_path):
    def write_config(text: str) -> str:
        path: Path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_config


def refusal(config: str, overrides=None) -> str:
    with pytest.raises(InputError) as refused:
        load_settings(config, overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", config_names())
def test_every_configuration_that_comes_along_is_valid(name):
    assert isinstance(load_settings(name), Settings)


def test_the_tutorials_configuration_is_the_tutorial():
    settings = load_settings("tutorial")
    assert (settings.model.embedding_dim, settings.model.loss) == (32, "in_batch")
    assert not (settings.model.tied_tables or settings.model.mask_padding or settings.model.item_bias)
    training = settings.training
    assert (training.optimizer, training.learning_rate, training.schedule) == ("adagrad", 0.1, "constant")
    assert (training.batch_size, training.epochs, training.reshuffle) == (12800, 3, False)
    assert (settings.model.dropout, training.validation_fraction) == (0, 0)


def test_what_a_file_leaves_out_has_a_default(write):
    settings = load_settings(write("name: mine\ndata: {release: sample}\n"))
    assert settings.model_gate.min_recall_at_10_lift == 1.5
    assert settings.data.max_context_length == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: mine\ndata: {release: sample}\ntrainning: {}\n", "unknown setting `trainning`"),
        ("name: mine\ndata: {release: sample}\nmodel: {width: 3}\n", "unknown setting `model.width`"),
        ("name: mine\ndata: {release: sample}\ntraining: {epochs: many}\n", "`training.epochs` is 'many': "),
        ("name: mine\ndata: {release: sample}\ntraining: {epochs: 0}\n", "`training.epochs` is 0: "),
        ("name: mine\ndata: {release: sample}\nmodel: {loss: hinge}\n", "`model.loss` is 'hinge': "),
        ("name: Mine!\ndata: {release: sample}\n", "`name` is 'Mine!': "),
        ("name: mine\ndata: {}\n", "name the data: either `release`, or `name` for data of your own"),
        ("name: mine\n", "setting `data` is missing"),
        ("name: mine\ndata: 5\n", "`data` is 5: "),
        ("name: [mine\n", "is not YAML"),
        ("just words\n", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line_that_names_the_fault(write, text, said):
    config = write(text)
    message = refusal(config)
    assert said in message
    assert "mine.yaml" in message


def test_all_faults_are_named_at_once(write):
    message = refusal(write("name: mine\ndata: {release: sample}\nfirst: 1\nmodel: {second: 2}\n"))
    assert "`first`" in message
    assert "`model.second`" in message


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "is not YAML" in refusal(str(tmp_path / "binary.yaml"))


def test_an_unknown_name_is_answered_with_the_known_ones():
    message = refusal("sampel")
    assert all(name in message for name in ["'sampel'", *config_names()])


def test_a_missing_file_is_named():
    assert "there is no configuration file nowhere/mine.yaml" in refusal("nowhere/mine.yaml")


def test_a_folder_is_no_configuration(tmp_path):
    assert str(tmp_path) in refusal(str(tmp_path))


def test_overrides_stand_above_the_file():
    settings = load_settings("ml-1m", {"release": "sample", "split": "leave-one-out"})
    assert (settings.data.release, settings.data.split) == ("sample", "leave_one_out")


def test_a_wrong_override_is_refused():
    assert "`data.split` is 'sideways': " in refusal("sample", {"split": "sideways"})


def test_release_split_and_configuration_have_a_pipeline_each():
    chosen = [
        load_settings(config, {"release": release, "split": split})
        for config in ("sample", "tutorial")
        for release in ("ml-1m", "ml-100k")
        for split in ("random", "leave_one_out", "temporal")
    ]
    names = [settings.pipeline_name for settings in chosen]
    assert len(set(names)) == len(names)
    # What Kubeflow accepts as a name.
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_a_configuration_named_like_its_release_is_told_apart_from_others():
    def name_of(name: str, release: str) -> str:
        settings = load_settings("sample")
        data = settings.data.model_copy(update={"release": release})
        return settings.model_copy(update={"name": name, "data": data}).pipeline_name

    pairs = [(name, release) for name in ("default", "sample", "random", "ml-1m") for release in ("sample", "ml-1m")]
    assert len({name_of(*pair) for pair in pairs}) == len(pairs)


def test_single_values_are_changed_by_their_dotted_names():
    settings = load_settings("sample")
    changed = with_values(settings, {"model.dropout": 0.3, "name": "mine"})
    assert (changed.model.dropout, changed.name) == (0.3, "mine")
    assert changed.training == settings.training
    assert settings.model.dropout == 0.1


def test_the_fast_configuration_asks_for_less_work_than_the_default():
    fast, default = load_settings("fast"), load_settings("ml-1m")
    assert fast.model.embedding_dim < default.model.embedding_dim
    assert fast.model.gru_reads < default.model.gru_reads
    assert fast.training.epochs < default.training.epochs
    assert fast.pipeline_name != default.pipeline_name


def test_single_settings_of_a_command_line_stand_above_the_configurations():
    values = ["model.dropout=0.3", "model.gru_units=null", "data.split=leave-one-out", "training.learning_rate=1e-3"]
    settings = choose_settings("fast", "ml-100k", None, "temporal", values)
    assert (settings.model.dropout, settings.model.gru_units) == (0.3, None)
    assert settings.data.split == "leave_one_out"
    assert settings.training.learning_rate == 0.001
    assert settings.model.embedding_dim == load_settings("fast").model.embedding_dim


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("model.dropout", r"--set model\.dropout: write NAME=VALUE, such as --set model\.dropout=0\.3"),
        ("=0.3", "--set =0.3: write NAME=VALUE"),
        ("model.dropout={", "--set model.dropout={: the value is not YAML"),
        ("model.droput=0.3", "unknown setting `model.droput`"),
        ("modle.dropout=0.3", "there is no group of settings `modle` for `modle.dropout`"),
        ("model.dropout=much", "`model.dropout` is 'much'"),
    ],
)
def test_a_single_setting_that_is_none_is_refused_by_name(value, reason):
    with pytest.raises(InputError, match=reason):
        choose_settings("sample", None, None, None, [value])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "set `data.timelines` to true"),
        ({"data.timelines": True, "rolling": {}}, "spans have no timelines: leave out `rolling`"),
        ({"data.timelines": True, "model.loss": "in_batch"}, "fitted with the `model.loss` full_softmax"),
        ({"data.timelines": True, "model.gru_reads": 2}, "set it to 10, the `data.max_context_length`"),
    ],
    ids=["no timelines", "spans", "in-batch loss", "a GRU that reads less"],
)
def test_chunks_are_refused_where_they_would_not_train_what_is_served(values, reason):
    with pytest.raises(InputError, match=reason) as refused:
        with_values(load_settings("sample"), {"training.form": "chunks", **values})
    assert refused.value.code == "C05"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"training.form": "windows"}, "set `training.form` to chunks"),
        ({"data.leave_out": None}, "set `data.leave_out` to history"),
        ({"data.timelines": False}, "set `data.timelines` to true"),
    ],
    ids=["windows", "contexts left out", "no timelines"],
)
def test_histories_are_refused_where_the_data_or_the_training_lack_them(values, reason):
    with pytest.raises(InputError, match=reason) as refused:
        with_values(load_settings("whole"), values)
    assert refused.value.code == "C05"


@pytest.mark.parametrize("data", [{"release": "ml-1m"}, {"name": "shop"}], ids=["release", "own data"])
def test_models_that_read_histories_are_published_apart_and_judged_beside_the_others(data):
    of_histories = {"leave_out": "history", "timelines": True}
    plain = Settings.model_validate({"name": "x", "data": {**data, **of_histories}})
    whole = with_values(plain, {"model.reads": "history", "training.form": "chunks"})
    assert whole.serving_name == f"{plain.serving_name}--history"
    with pytest.raises(InputError, match=r"data\.name. is history"):
        with_values(
            load_settings("sample"), {"data.release": None, "data.name": "history", "data.interactions": "events.csv"}
        )
    assert whole.pipeline_name == plain.pipeline_name


def test_every_user_is_answered_by_all_that_a_model_reads():
    asked = {"batch_answers.enabled": True, "batch_answers.history_length": 7}
    assert load_settings("whole").last_histories is None
    assert with_values(load_settings("sample"), asked).last_histories == 7
    assert with_values(load_settings("whole"), asked).last_histories >= 100_000
