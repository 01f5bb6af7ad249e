from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.errors import ConfigError
from forebay.core.ids import Ids
from forebay.operations.credentials import Credential, account_of, load_credentials, new_access_key_id


@given(st.integers(0, 999_999_999_999), st.integers(0, 1000))
def test_access_key_carries_its_account(account: int, seed: int) -> None:
    key = new_access_key_id("ASIA", f"{account:012d}", Ids(seed))
    assert len(key) == 20
    assert account_of(key) == f"{account:012d}"


def test_account_of_aws_key() -> None:
    # The key and account of the published decoding.
    assert account_of("ASIAQNZGKIQY56JQ7WML") == "029608264753"


@pytest.mark.parametrize("key", ["test", "AKIA", "ASIA1111111111111111", "AKIA2222"])
def test_other_keys_carry_none(key: str) -> None:
    assert account_of(key) is None


def test_credentials_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("# ours\n\nAKIAONE secret 111122223333\n")
    root = "arn:aws:iam::111122223333:root"
    assert load_credentials(file) == {"AKIAONE": Credential("AKIAONE", "secret", "111122223333", root, "111122223333")}


@pytest.mark.parametrize("text", ["", "only two", "a b 12", "a b c d"])
def test_bad_credentials_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    with pytest.raises(ConfigError, match="credentials"):
        load_credentials(file)
