"""The settings: every environment variable with its type, its default and its meaning."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from nrespipe.settings.validators import (
    HOST,
    MEMORY,
    Broker,
    Count,
    Directory,
    Host,
    HostPattern,
    MailAddress,
    Port,
    Secret,
    Text,
    ascii_only,
    database,
    delivery_target,
    from_one,
    is_given,
    is_private,
    joined,
    lower,
    split_words,
    upper,
    web_address,
)


def _of(variable: str, default: Any, expected: str, meaning: str) -> Any:
    return Field(default, validation_alias=variable, description=meaning, examples=[expected])


class Settings(BaseSettings):
    """Settings of the environment; an option of a command overrides them.

    Notes
    -----
    The description of each field is its meaning, its alias the variable. A password, or an address that may contain
    one, is a ``SecretStr``, which no print, log or traceback shows. ``Settings()`` are the defaults:
    only `read` looks at the environment.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        case_sensitive=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    database_host: Host = _of(
        "DB_HOST", "", "the name of a host, e.g. database or database:5433",
        "Host of the PostgreSQL server, where ``DB_URL`` is not set; with a port as ``database:5433``.",
    )  # fmt: skip
    database_name: Annotated[Text, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = _of(
        "DB_NAME", "nres", "the name of a database, of letters, digits, and _ . -", "Name of the database there."
    )
    database_username: Text = _of("DB_USERNAME", "nres", "a name", "User name of this service at that server.")
    database_password: SecretStr = _of("DB_PASSWORD", SecretStr(""), "a password", "Its password, of any characters.")
    database_url: Annotated[Secret, AfterValidator(database), Field(validate_default=True)] = _of(
        "DB_URL", SecretStr(""),
        "a database URL, e.g. sqlite:////data/nrespipe.sqlite or postgresql://user:password@host/name, with @ : / # ? "
        "% in a password as %40 %3A %2F %23 %3F %25; or set DB_HOST, DB_USERNAME and DB_PASSWORD instead",
        "SQLAlchemy URL of the database; without it and ``DB_HOST`` one SQLite file in the output directory.",
    )  # fmt: skip
    data_root: Directory = _of(
        "NRES_DATA_ROOT", None, "a directory", "Output directory of the commands that are given none."
    )
    raw_root: Directory = _of(
        "NRES_RAW_ROOT", None, "a directory", "Directory of raw frames, below which lie the sites."
    )
    any_path: bool = _of(
        "NRES_ANY_PATH", False, "true or false",
        "Whether a message may name a file that is not below ``NRES_RAW_ROOT``; without this such a message is "
        "refused. Links are not followed: the path itself must begin with that of the directory.",
    )  # fmt: skip
    # 0 works in the program itself, where no limit holds: for programs that ask for it, not for the environment
    processes: Annotated[int | None, Field(ge=0), BeforeValidator(from_one)] = _of(
        "NRES_PROCESSES", None, "a whole number from 1",
        "Frames to reduce at a time; one a processor core where it is not set.",
    )  # fmt: skip
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(upper)] = _of(
        "NRES_LOG_LEVEL", "INFO", "one of DEBUG, INFO, WARNING, ERROR", "Least severe lines to log: DEBUG to ERROR."
    )
    log_format: Annotated[Literal["text", "json", "auto"], BeforeValidator(lower)] = _of(
        "NRES_LOG_FORMAT", "auto", "one of text, json, auto",
        "Form of log lines: ``text``, ``json`` (one object a line), or ``auto``, which is text at a terminal and JSON "
        "anywhere else.",
    )  # fmt: skip
    fits_broker_host: Host = _of(
        "FITS_BROKER_HOST", "", "the name of a host, e.g. rabbit or rabbit:5673",
        "Host of the broker that announces new raw frames, where ``FITS_BROKER`` is not set; with a port as "
        "``rabbit:5673``.",
    )  # fmt: skip
    fits_broker_username: Text = _of(
        "FITS_BROKER_USERNAME", "guest", "a name", "User name of this service at that broker."
    )
    fits_broker_password: SecretStr = _of(
        "FITS_BROKER_PASSWORD", SecretStr("guest"), "a password", "Its password, of any characters."
    )
    fits_broker: Annotated[Broker, Field(validate_default=True)] = _of(
        "FITS_BROKER", MEMORY,
        "the URL of a broker, e.g. amqp://user:password@host:5672/, with @ : / # ? % in a password as %40 %3A %2F %23 "
        "%3F %25; or set FITS_BROKER_HOST, FITS_BROKER_USERNAME and FITS_BROKER_PASSWORD instead",
        "URL of the broker that announces new raw frames, as ``amqp://user:password@host/``; without it and "
        "``FITS_BROKER_HOST`` no frames are announced.",
    )  # fmt: skip
    fits_exchange: Text = _of(
        "FITS_EXCHANGE", "fits_files", "the name of an exchange", "Name of the fanout exchange at that broker."
    )
    broker_host: Host = _of(
        "RABBITMQ_HOST", "", "the name of a host, e.g. rabbit or rabbit:5673",
        "Host of the broker that notifies the workers, where ``BROKER_URL`` is not set; with a port as "
        "``rabbit:5673``.",
    )  # fmt: skip
    broker_username: Text = _of("BROKER_USERNAME", "guest", "a name", "User name of this service at that broker.")
    broker_password: SecretStr = _of(
        "BROKER_PASSWORD", SecretStr("guest"), "a password", "Its password, of any characters."
    )
    broker_url: Annotated[Broker, Field(validate_default=True)] = _of(
        "BROKER_URL", MEMORY,
        "the URL of a broker, e.g. amqp://user:password@host:5672/, with @ : / # ? % in a password as %40 %3A %2F %23 "
        "%3F %25; or set RABBITMQ_HOST, BROKER_USERNAME and BROKER_PASSWORD instead",
        "URL of the broker that notifies the workers; without it and ``RABBITMQ_HOST`` one that lives in one process "
        "and serves ``run``.",
    )  # fmt: skip
    # whole: shells and supervisord reckon with it
    time_limit_s: Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(from_one)] = _of(
        "NRES_TIME_LIMIT", 1200.0, "a whole number from 1",
        "A frame or a master that takes longer than this is stopped [second].",
    )  # fmt: skip
    consumer_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(from_one)] = _of(
        "NRES_CONSUMER_TIMEOUT", 1800.0, "a whole number from 1",
        "How long the broker that notifies the workers waits for one that has a message, its ``consumer_timeout`` "
        "[second]: at least a minute longer than ``NRES_TIME_LIMIT``. The default is that of RabbitMQ.",
    )  # fmt: skip
    stop_wait_s: Annotated[float | None, Field(gt=0, allow_inf_nan=False), BeforeValidator(from_one)] = _of(
        "NRES_STOP_WAIT", None, "a whole number from 1",
        "Time for a worker to stop before it is killed, as ``stopwaitsecs`` of supervisord [second]: at "
        "least two minutes longer than ``NRES_TIME_LIMIT``. Where it is not set, workers are not killed.",
    )  # fmt: skip
    memory_limit_mb: Count = _of(
        "NRES_MEMORY_LIMIT", None, "a whole number from 1",
        "A worker's process that uses more memory than this is ended with its frame, which is tried twice more; one "
        "that has used half of it is replaced after its frame [MB]. No limit where it is not set.",
    )  # fmt: skip
    do_rv: bool = _of(
        "NRES_DO_RV", True, "true or false",
        "Whether velocities are measured; without them a star gets its spectra and wavelengths, and the correction to "
        "the barycenter.",
    )  # fmt: skip
    do_draw: bool = _of(
        "NRES_DO_DRAW", True, "true or false",
        "Whether a PDF with the velocity, the lines and the exposure is drawn beside the products of each star.",
    )  # fmt: skip
    stack_delay_h: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _of(
        "CAL_STACK_DELAY", 4.0, "a number from 0", "How long after the end of a night its masters are made [hour]."
    )
    master_patience_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _of(
        "NRES_MASTER_PATIENCE", 5.0, "a number from 0",
        "How long a star waits for masters near in time before it is reduced with others, and flagged [day].",
    )  # fmt: skip
    future_masters: bool = _of(
        "NRES_FUTURE_MASTERS", True, "true or false",
        "Whether a frame may be reduced with masters of later nights.",
    )  # fmt: skip
    api_root: Annotated[Text, AfterValidator(web_address)] = _of(
        "API_ROOT", "", "a web address without a password in it, e.g. https://archive.example.org/",
        "URL of the archive from which frames are fetched that are announced by number.",
    )  # fmt: skip
    # printable and without blanks: it is one word of a header
    auth_token: Annotated[Secret, ascii_only(r"[!-~]*")] = _of(
        "AUTH_TOKEN",
        SecretStr(""),
        "a word of printable ASCII characters",
        "Token that identifies this service to the archive.",
    )
    archive_hosts: Annotated[tuple[HostPattern, ...], NoDecode, BeforeValidator(split_words)] = _of(
        "NRES_ARCHIVE_HOSTS", ("*.s3.amazonaws.com", "s3.*.amazonaws.com", "*.s3.*.amazonaws.com"),
        "names of hosts with commas between them, with * for any characters",
        "Hosts that frames may be fetched from beside the archive's own, with ``*`` for any characters: where its "
        "answers and redirects send us.",
    )  # fmt: skip
    allow_http: bool = _of(
        "NRES_ALLOW_HTTP", False, "true or false",
        "Whether frames may be fetched and products delivered without TLS (``http``). ``AUTH_TOKEN`` is not sent "
        "without it even then, but to this machine.",
    )  # fmt: skip
    do_ingest: bool = _of("DO_INGEST", False, "true or false", "Whether products are delivered.")
    ingest_to: Annotated[Text, AfterValidator(delivery_target)] = _of(
        "NRES_INGEST_TO", "",
        "file:///deliveries, or a web address without a password in it, e.g. https://ingest.example.org/nres/",
        "Target of deliveries: a directory, as ``file:///deliveries``, or a server that takes files by PUT, as "
        "``https://ingest.example.org/nres/``; it gets ``AUTH_TOKEN``.",
    )  # fmt: skip
    opentsdb_hostname: Annotated[Text, Field(pattern=rf"^{HOST}$")] = _of(
        "OPENTSDB_HOSTNAME", "", "the name of a host", "OpenTSDB server that receives metrics; none where not set."
    )
    opentsdb_port: Annotated[int, Field(ge=1, le=65535)] = _of(
        "OPENTSDB_PORT", 4242, "a port, from 1 to 65535", "Its port, over HTTP."
    )
    metrics_port: Port = _of(
        "NRES_METRICS_PORT", None, "a port, from 1 to 65535",
        "Port at which the scheduler answers Prometheus; none where not set.",
    )  # fmt: skip
    metrics_address: Annotated[Text, Field(pattern=r"^[0-9A-Fa-f.:]+$")] = _of(
        "NRES_METRICS_ADDRESS", "127.0.0.1", "an address of this machine, e.g. 0.0.0.0 for all",
        "Address of the interface at which it answers: this machine alone; ``0.0.0.0`` is every network, and what a "
        "container needs.",
    )  # fmt: skip
    summary_recipients: Annotated[tuple[MailAddress, ...], NoDecode, BeforeValidator(split_words)] = _of(
        "SUMMARY_RECIPIENTS", (), "addresses such as nres@example.org, with commas between them",
        "Who gets the summary of a night by mail, addresses with commas between them; nobody where not set.",
    )  # fmt: skip
    summary_sender: MailAddress = _of(
        "SUMMARY_SENDER", "", "one address such as nres@example.org", "Address that the mail comes from."
    )
    # the library sends no other
    summary_password: Annotated[SecretStr, ascii_only(r"[ -~]*")] = _of(
        "SUMMARY_SENDER_PASSWORD", SecretStr(""), "a password of printable ASCII characters",
        "Password of the sender at the mail server.",
    )  # fmt: skip
    summary_server: Host = _of(
        "SUMMARY_SERVER", "smtp.gmail.com:587", "a host and a port, e.g. mail.example.org:587",
        "Mail server, as ``host:port``.",
    )  # fmt: skip

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment to `read`: settings that a program builds are what it says."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _drop_blank(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if not (isinstance(value, str) and not value.strip())}

    @field_validator("database_url", mode="before")
    @classmethod
    def _join_database(cls, given: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        if is_given(given) or not info.data.get("database_host"):
            return given
        return joined("postgresql", info.data, "database") + str(info.data.get("database_name", ""))

    @field_validator("fits_broker", "broker_url", mode="before")
    @classmethod
    def _join_broker(cls, given: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        part = "fits_broker" if info.field_name == "fits_broker" else "broker"
        if is_given(given) or not info.data.get(f"{part}_host"):
            return given
        return joined("amqp", info.data, part)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.do_ingest and not self.ingest_to:
            raise ValueError("DO_INGEST is true, but NRES_INGEST_TO does not tell where products are delivered")
        for name, url in (("API_ROOT", self.api_root), ("NRES_INGEST_TO", self.ingest_to)):
            if not url.startswith("http:") or is_private(url):
                continue
            if self.auth_token.get_secret_value():
                raise ValueError(f"{name} is an http address, which would show AUTH_TOKEN to others; expected https")
            if not self.allow_http:
                raise ValueError(f"{name} is an http address; expected https, or NRES_ALLOW_HTTP=true")
        if self.summary_recipients and not self.summary_sender:
            raise ValueError("SUMMARY_RECIPIENTS is set, but SUMMARY_SENDER, the sender of the mail, is empty")
        return self
