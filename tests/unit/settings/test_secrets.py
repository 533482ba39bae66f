"""A secret in the configuration is refused, and shown nowhere."""

from pathlib import Path

import pytest

from pipeline.model.errors import Misconfigured
from tests.unit.settings.configurations import RIGHT, load_text

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12"  # 40 random-looking characters, as AWS makes them
SECRETS = {
    "secret key": f'[aws]\naws_secret_access_key = "{SECRET}"',
    "any value": f'[worker]\nid = "{SECRET}"',
    "in a list": f'[aws]\nplain_http_hosts = ["ok", "{SECRET}"]',
    "as a key": f'[worker]\n{SECRET} = "x"',
    "as a section": f'[{SECRET}]\nx = "x"',
    "key id": '[worker]\nid = "AKIA' + "IOSFODNN7EXAMPLE" + '"',
    "session token": f'[aws]\nsession_token = "{SECRET}x"',
    "password": f'[topologies.copy]\npassword = "{SECRET[:9]}"',
    "in a URL": f'[worker]\nid = "https://user:{SECRET[:9]}@example.com"',
    "private key": f'[topologies.copy]\nprefix = """-----BEGIN RSA PRIVATE KEY-----\n{SECRET}"""',
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_in_the_file(tmp_path: Path, case: str) -> None:
    """A secret is refused, and no part of it is in the message."""
    base = RIGHT.partition("[topologies.copy]")[0]
    with pytest.raises(Misconfigured) as refused:
        load_text(tmp_path, base + SECRETS[case])
    assert "looks like a secret" in refused.value.reason
    assert "AWS chain" in refused.value.hint
    assert SECRET[:9] not in str(refused.value)
    assert "IOSFODNN7" not in str(refused.value)


def test_a_secret_in_the_environment(tmp_path: Path) -> None:
    """A secret in a FANOUT_ variable is refused likewise; the AWS variables are where it belongs."""
    load_text(tmp_path, RIGHT, {"AWS_SECRET_ACCESS_KEY": SECRET})
    with pytest.raises(Misconfigured, match="FANOUT_STREAM_NAME: looks like a secret") as refused:
        load_text(tmp_path, RIGHT, {"FANOUT_STREAM_NAME": SECRET})
    assert SECRET[:9] not in str(refused.value)


def test_the_token_of_the_pages_is_no_setting(tmp_path: Path) -> None:
    """FANOUT_WEB_TOKEN may hold a secret, since it is never a setting; a token in the file is refused."""
    load_text(tmp_path, RIGHT, {"FANOUT_WEB_TOKEN": SECRET})
    for variable in ("FANOUT_WORKER_WEB_TOKEN", "FANOUT_WEB_TOKENS"):
        with pytest.raises(Misconfigured) as refused:
            load_text(tmp_path, RIGHT, {variable: SECRET})
        assert SECRET[:9] not in str(refused.value)
    with pytest.raises(Misconfigured, match=r"worker.web_token: looks like a secret"):
        load_text(tmp_path, RIGHT + f'[worker]\nweb_token = "{SECRET}"')
