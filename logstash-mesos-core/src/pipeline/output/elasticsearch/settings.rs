//! The settings of the output.

use crate::pipeline::plugin::settings::{Default, Kind, Setting, Status};
use crate::pipeline::tls;

const NO_ILM: Status = Status::Absent(
    "lifecycles are not set up from here; write to a data stream, or make the alias and its policy on the cluster and name the alias with `index`",
);

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("hosts", Kind::List(&Kind::Uri), "The nodes, asked in turn.")
        .default(Default::Strings(&["//127.0.0.1"])),
    Setting::new("index", Kind::String, "The index; may hold `%{field}` and dates."),
    Setting::new("action", Kind::String, "`index`, `create`, `update` or `delete`; may hold `%{field}`.")
        .default(Default::String("index")),
    Setting::new("document_id", Kind::String, "The id of the document; may hold `%{field}`."),
    Setting::new("document_type", Kind::String, "The type of the document.")
        .status(Status::Obsolete("there are no types any more")),
    Setting::new("routing", Kind::String, "Which shard; may hold `%{field}`."),
    Setting::new("pipeline", Kind::String, "The ingest pipeline; may hold `%{field}`."),
    Setting::new("version", Kind::String, "The version of the document; may hold `%{field}`."),
    Setting::new(
        "version_type",
        Kind::OneOf(&["internal", "external", "external_gt", "external_gte", "force"]),
        "How versions are compared.",
    ),
    Setting::new("retry_on_conflict", Kind::Number, "How often an update is tried in the server.")
        .default(Default::Int(1)),
    Setting::new("doc_as_upsert", Kind::Boolean, "Makes the document of an update where there is none.")
        .default(Default::Bool(false)),
    Setting::new(
        "upsert",
        Kind::String,
        "The document made where an update finds none; JSON, may hold `%{field}`.",
    )
    .default(Default::String("")),
    Setting::new("scripted_upsert", Kind::Boolean, "Leaves that to the script.")
        .default(Default::Bool(false)),
    Setting::new("script", Kind::String, "The script of an update.").default(Default::String("")),
    Setting::new(
        "script_type",
        Kind::OneOf(&["inline", "indexed", "file"]),
        "Whether `script` is a text or a name.",
    )
    .default(Default::String("inline")),
    Setting::new("script_lang", Kind::String, "The language of the script.")
        .default(Default::String("painless")),
    Setting::new("script_var_name", Kind::String, "How the script calls the event.")
        .default(Default::String("event")),
    Setting::new("parent", Kind::String, "The parent of the document.")
        .status(Status::Absent("put the join field into the event with `mutate`, and set `routing`")),
    Setting::new("join_field", Kind::String, "The join field.")
        .status(Status::Absent("put the join field into the event with `mutate`, and set `routing`")),
    Setting::new(
        "data_stream",
        Kind::OneOf(&["true", "false", "auto"]),
        "Whether documents go to a data stream; `auto` does where nothing speaks against it.",
    ),
    Setting::new(
        "data_stream_type",
        Kind::OneOf(&["logs", "metrics", "synthetics", "traces"]),
        "The first part of its name.",
    )
    .default(Default::String("logs")),
    Setting::new("data_stream_dataset", Kind::String, "The second part.").default(Default::String("generic")),
    Setting::new("data_stream_namespace", Kind::String, "The third part.")
        .default(Default::String("default")),
    Setting::new("data_stream_sync_fields", Kind::Boolean, "Adds the parts to the document.")
        .default(Default::Bool(true)),
    Setting::new(
        "data_stream_auto_routing",
        Kind::Boolean,
        "Takes the parts from the event where it has them.",
    )
    .default(Default::Bool(true)),
    Setting::new("user", Kind::String, "The user."),
    Setting::new("password", Kind::Password, "Its password."),
    Setting::new("api_key", Kind::Password, "An API key: `id:key`."),
    Setting::new("cloud_id", Kind::String, "A deployment in Elastic Cloud, in place of `hosts`."),
    Setting::new("cloud_auth", Kind::Password, "`user:password`, in place of `user` and `password`."),
    Setting::new("path", Kind::String, "A path in front of all others, for a proxy."),
    Setting::new("bulk_path", Kind::String, "The path of the bulk API."),
    Setting::new("parameters", Kind::Hash, "Added to the query of every request."),
    Setting::new("custom_headers", Kind::Hash, "Sent with every request."),
    Setting::new("ssl_enabled", Kind::Boolean, "Whether TLS is spoken; the addresses say where absent."),
    tls::AUTHORITIES,
    tls::VERIFICATION_MODE,
    tls::CERTIFICATE,
    tls::KEY,
    tls::PROTOCOLS,
    tls::CIPHERS,
    Setting::new(
        "ca_trusted_fingerprint",
        Kind::List(&Kind::String),
        "The SHA-256 of the certificate of an authority that servers bring along.",
    ),
    tls::java("ssl_keystore_path", Kind::Path),
    tls::java("ssl_keystore_password", Kind::Password),
    tls::java("ssl_keystore_type", Kind::OneOf(&["pkcs12", "jks"])),
    tls::java("ssl_truststore_path", Kind::Path),
    tls::java("ssl_truststore_password", Kind::Password),
    tls::java("ssl_truststore_type", Kind::OneOf(&["pkcs12", "jks"])),
    tls::obsolete("ssl", "use `ssl_enabled`"),
    tls::obsolete("ssl_certificate_verification", "use `ssl_verification_mode`"),
    tls::obsolete("cacert", "use `ssl_certificate_authorities`"),
    tls::obsolete("truststore", "use `ssl_certificate_authorities`"),
    tls::obsolete("truststore_password", "use `ssl_certificate_authorities`"),
    tls::obsolete("keystore", "use `ssl_certificate` and `ssl_key`"),
    tls::obsolete("keystore_password", "use `ssl_certificate` and `ssl_key`"),
    Setting::new("http_compression", Kind::Boolean, "Compresses requests.")
        .default(Default::Bool(false))
        .status(Status::Deprecated("use `compression_level`")),
    Setting::new(
        "compression_level",
        Kind::Number,
        "Level of gzip, 1 to 9; 0, the default here, sends requests as they are.",
    ),
    Setting::new("timeout", Kind::Number, "Seconds until a request is tried again.")
        .default(Default::Int(60)),
    Setting::new(
        "resurrect_delay",
        Kind::Number,
        "For how many seconds a node that did not answer is left alone.",
    )
    .default(Default::Int(5)),
    Setting::new(
        "retry_initial_interval",
        Kind::Number,
        "Seconds before the first repetition; a tenth of a second where absent.",
    ),
    Setting::new(
        "retry_max_interval",
        Kind::Number,
        "Most seconds between repetitions, which double; thirty where absent.",
    ),
    Setting::new(
        "dlq_custom_codes",
        Kind::List(&Kind::Number),
        "Further status codes of documents that become dead letters.",
    ),
    Setting::new(
        "dlq_on_failed_indexname_interpolation",
        Kind::Boolean,
        "Whether an index name with `%{…}` left in it makes a dead letter.",
    )
    .default(Default::Bool(true)),
    Setting::new(
        "drop_error_types",
        Kind::List(&Kind::String),
        "Kinds of errors for which a document is dropped, as it is for a conflict of versions.",
    ),
    Setting::new("silence_errors_in_log", Kind::Array, "Kinds of errors that are not logged."),
    Setting::new("failure_type_logging_whitelist", Kind::Array, "Kinds of errors that are not logged.")
        .status(Status::Deprecated("use `silence_errors_in_log`")),
    Setting::new(
        "manage_template",
        Kind::Boolean,
        "Whether `template` is installed. Without that setting nothing is: Logstash's own template is not here.",
    )
    .default(Default::Bool(true)),
    Setting::new(
        "template",
        Kind::Path,
        "A file with the index template that is installed before the first document, unless documents go to a data stream.",
    ),
    Setting::new("template_name", Kind::String, "Its name; `ecs-logstash` where absent, or `logstash` by the old names."),
    Setting::new("template_overwrite", Kind::Boolean, "Whether it replaces another of its name.")
        .default(Default::Bool(false)),
    Setting::new(
        "template_api",
        Kind::OneOf(&["auto", "legacy", "composable"]),
        "Of which kind it is; `auto` tells by its content, where Logstash tells by the version of the server.",
    )
    .default(Default::String("auto")),
    Setting::new(
        "ilm_enabled",
        Kind::OneOf(&["true", "false", "auto"]),
        "Whether a lifecycle is set up. It is not here: `true` is refused, and `auto` is as good as `false`.",
    )
    .default(Default::String("auto")),
    Setting::new("ilm_rollover_alias", Kind::String, "Its alias.").status(NO_ILM),
    Setting::new("ilm_pattern", Kind::String, "Its pattern.").status(NO_ILM),
    Setting::new("ilm_policy", Kind::String, "Its policy.").status(NO_ILM),
    Setting::new("sniffing", Kind::Boolean, "Asks the cluster for its nodes.")
        .default(Default::Bool(false))
        .status(Status::Ignored("the nodes in `hosts` are used")),
    Setting::new("sniffing_delay", Kind::Number, "How often.").status(Status::Ignored("see `sniffing`")),
    Setting::new("sniffing_path", Kind::String, "Where.").status(Status::Ignored("see `sniffing`")),
    Setting::new("healthcheck_path", Kind::String, "Asked of nodes that did not answer.")
        .status(Status::Ignored("such nodes get the next request")),
    Setting::new("pool_max", Kind::Number, "Most connections.")
        .status(Status::Ignored("there are as many as requests on their way")),
    Setting::new("pool_max_per_route", Kind::Number, "Most connections to a node.")
        .status(Status::Ignored("see `pool_max`")),
    Setting::new(
        "validate_after_inactivity",
        Kind::Number,
        "After how many milliseconds a connection is checked.",
    )
    .status(Status::Ignored("a broken one is seen at once")),
    Setting::new("proxy", Kind::Uri, "A proxy.")
        .status(Status::Absent("write its address in `hosts`, with `path`")),
];
