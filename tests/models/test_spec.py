"""What lies beside weights says what model they are of."""

from __future__ import annotations

import pytest
import yaml

from core_samples import tiny_config
from meddiff.errors import CheckpointError
from meddiff.models.spec import CONFIG, ModelSpec, read_spec, write_config

FLAGS = ("embedding_outside", "adaln_zero_init", "label_table_size", "block_label_dropout")


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_files_of_earlier_versions_have_the_flags_of_both_networks(kind, tmp_path):
    spec = ModelSpec(tiny_config(kind), 2, 1, 8, ("no", "yes"))
    write_config(tmp_path, spec, seed=3)
    assert read_spec(tmp_path) == spec
    document = yaml.safe_load((tmp_path / CONFIG).read_text())
    del document["sha256"], document["format_version"]  # the first versions had none
    document["model"] = {**dict.fromkeys(FLAGS), **document["model"]}
    (tmp_path / CONFIG).write_text(yaml.safe_dump(document))
    assert read_spec(tmp_path) == spec
    document["model"] |= dict.fromkeys(FLAGS, 0)
    (tmp_path / CONFIG).write_text(yaml.safe_dump(document))
    with pytest.raises(CheckpointError, match="unknown key"):
        read_spec(tmp_path)
