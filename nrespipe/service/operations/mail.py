"""Mail: over TLS that is verified wherever a password goes with it."""

import smtplib
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nrespipe.errors import Unavailable

if TYPE_CHECKING:
    from email.message import EmailMessage

    from nrespipe.settings import Settings

#: A mail server that is silent for so long is away [second].
_PATIENCE_S = 15.0
#: Port of SMTP within TLS from the first byte on.
_SMTPS = 465
_SMTP = 25


def send(message: "EmailMessage", settings: "Settings") -> str:
    """Hand a message over to the mail server.

    Parameters
    ----------
    settings
        They name the server, the sender and the password.

    Returns
    -------
    str
        Which recipients the server does not know, and what it says; '' where it takes the message for all.

    Raises
    ------
    Unavailable
        If the server takes it for nobody, or the password would not be safe.
    """
    try:
        with _server(settings) as server:
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise Unavailable(f"the mail server knows no recipient: {_of_recipients(error.recipients)}") from error
    except smtplib.SMTPResponseException as error:
        raise Unavailable(f"the mail server answers {_line(error.smtp_code, error.smtp_error)}") from error
    except (OSError, smtplib.SMTPException) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unavailable(f"the mail server {settings.summary_server} does not take it: {words}") from error
    return _of_recipients(refused)


@contextmanager
def _server(settings):
    """Open the way to the server, and show it who we are."""
    place = urlsplit(f"//{settings.summary_server}")
    host, port = place.hostname, place.port or _SMTP
    password, verified = settings.summary_password.get_secret_value(), ssl.create_default_context()
    if port == _SMTPS:
        server = smtplib.SMTP_SSL(host, port, timeout=_PATIENCE_S, context=verified)
    else:
        server = smtplib.SMTP(host, port, timeout=_PATIENCE_S)
    with server:
        server.ehlo()
        if port != _SMTPS and server.has_extn("starttls"):
            # the library's own context believes any certificate: better than none, where nothing is secret
            server.starttls(context=verified if password else None)
            server.ehlo()
        elif port != _SMTPS and password:
            raise Unavailable(
                f"the mail server {settings.summary_server} offers no TLS: the password is not sent; "
                "expected STARTTLS, or port 465"
            )
        if password:
            server.login(settings.summary_sender, password)
        yield server


def _of_recipients(refused):
    return "; ".join(f"{who}: {_line(*answer)}" for who, answer in sorted(refused.items()))


def _line(code, text):
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return f"{code} {' '.join(text.split())[:200]}"
