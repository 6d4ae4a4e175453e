"""Python's ssl takes the certificate that a node made for itself, for the names that it is for."""

import socket
import ssl
from pathlib import Path

import pytest


@pytest.fixture
def context(node) -> ssl.SSLContext:
    """A client that trusts the certificate of the node, and nothing else."""
    config = Path(node.config)
    folder = config if config.is_dir() else config.parent
    context = ssl.create_default_context(cafile=folder / "certificate.pem")
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    return context


def connect(context: ssl.SSLContext, port: str, name: str) -> dict:
    """The certificate that is shown to whoever takes the node for `name`."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as stream:
        with context.wrap_socket(stream, server_hostname=name) as secure:
            return secure.getpeercert()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "::1"])
def test_own_certificate_is_taken_for_its_names(context, node, name):
    certificate = connect(context, node.https, name)
    assert ("DNS", "localhost") in certificate["subjectAltName"]


def test_own_certificate_is_refused_for_another_name(context, node):
    with pytest.raises(ssl.SSLCertVerificationError, match="ostname|IP address"):
        connect(context, node.https, "other.example")
