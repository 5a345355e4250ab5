//! What the databases of MaxMind hold, and what the fields are called.

use maxminddb::PathElement::{self, IndexFromEnd, Key};

/// Where a field's value is in a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// The address that was looked up.
    Address,
    /// The network of the database that the address lies in.
    Network,
    /// The string at this path of the database's record.
    Text(&'static [PathElement<'static>]),
    /// A string that is `null` where the record has none.
    TextOrNull(&'static [PathElement<'static>]),
    /// The integer at this path of the database's record.
    Number(&'static [PathElement<'static>]),
    /// A decimal number.
    Float(&'static [PathElement<'static>]),
    /// A switch, off where the record has none.
    Flag(&'static [PathElement<'static>]),
    /// Country and region, with a hyphen between them.
    Region,
    /// A hash of latitude and longitude.
    Location,
}

/// A kind of database: by what its type is known, and its fields.
#[derive(Debug)]
pub(super) struct Kind {
    /// A part of the type the database states.
    pub(super) mark: &'static str,
    /// Its fields in Logstash's order.
    pub(super) fields: &'static [(&'static str, Read)],
    /// The fields that are taken when the configuration names none.
    pub(super) defaults: &'static [&'static str],
    /// Whether a record without coordinates counts as none.
    pub(super) needs_location: bool,
}

/// The kind of a database that states `database_type`.
pub(super) fn kind(database_type: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| database_type.contains(kind.mark))
}

/// The name of a field below the target, without and with ECS; the latter is nothing where ECS has none.
pub(super) fn names(field: &str) -> Option<(&'static str, Option<&'static str>)> {
    NAMES.iter().find(|(name, ..)| *name == field).map(|(_, old, ecs)| (*old, *ecs))
}

/// Every field there is.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, ..)| *name)
}

pub(super) const COUNTRY: &[PathElement<'static>] = &[Key("country"), Key("iso_code")];
pub(super) const SUBDIVISION: &[PathElement<'static>] =
    &[Key("subdivisions"), IndexFromEnd(0), Key("iso_code")];
pub(super) const LATITUDE: &[PathElement<'static>] = &[Key("location"), Key("latitude")];
pub(super) const LONGITUDE: &[PathElement<'static>] = &[Key("location"), Key("longitude")];

const CITY_NAME: Read = Read::Text(&[Key("city"), Key("names"), Key("en")]);
const COUNTRY_NAME: Read = Read::Text(&[Key("country"), Key("names"), Key("en")]);
const CONTINENT_NAME: Read = Read::Text(&[Key("continent"), Key("names"), Key("en")]);
const REGION_NAME: Read = Read::Text(&[Key("subdivisions"), IndexFromEnd(0), Key("names"), Key("en")]);
const TIMEZONE: Read = Read::Text(&[Key("location"), Key("time_zone")]);
const AS_NUMBER: Read = Read::Number(&[Key("autonomous_system_number")]);
const AS_ORGANIZATION: Read = Read::Text(&[Key("autonomous_system_organization")]);

static KINDS: &[Kind] = &[
    Kind {
        mark: "City",
        fields: &[
            ("city_name", CITY_NAME),
            ("country_name", COUNTRY_NAME),
            ("continent_code", Read::Text(&[Key("continent"), Key("code")])),
            ("continent_name", CONTINENT_NAME),
            ("country_code2", Read::Text(COUNTRY)),
            // The databases have no codes of three letters any more.
            ("country_code3", Read::Text(COUNTRY)),
            ("ip", Read::Address),
            ("postal_code", Read::Text(&[Key("postal"), Key("code")])),
            ("dma_code", Read::Number(&[Key("location"), Key("metro_code")])),
            ("region_name", REGION_NAME),
            ("region_code", Read::Text(SUBDIVISION)),
            ("region_iso_code", Read::Region),
            ("timezone", TIMEZONE),
            ("location", Read::Location),
            ("latitude", Read::Float(LATITUDE)),
            ("longitude", Read::Float(LONGITUDE)),
        ],
        // `region_iso_code` is `region_code` without ECS.
        defaults: &[
            "ip",
            "city_name",
            "continent_code",
            "country_name",
            "country_code2",
            "country_code3",
            "postal_code",
            "dma_code",
            "region_name",
            "region_iso_code",
            "timezone",
            "location",
            "latitude",
            "longitude",
        ],
        needs_location: true,
    },
    Kind {
        mark: "Country",
        fields: &[
            ("country_name", COUNTRY_NAME),
            ("continent_name", CONTINENT_NAME),
            ("country_code2", Read::Text(COUNTRY)),
            ("ip", Read::Address),
        ],
        defaults: &["ip", "country_code2", "country_name", "continent_name"],
        needs_location: false,
    },
    Kind {
        mark: "GeoIP2-Domain",
        fields: &[("domain", Read::TextOrNull(&[Key("domain")]))],
        defaults: &["domain"],
        needs_location: false,
    },
    Kind {
        mark: "GeoLite2-ASN",
        fields: &[
            ("autonomous_system_number", AS_NUMBER),
            ("autonomous_system_organization", AS_ORGANIZATION),
            ("ip", Read::Address),
            ("network", Read::Network),
        ],
        defaults: &["ip", "autonomous_system_number", "autonomous_system_organization"],
        needs_location: false,
    },
    Kind {
        mark: "GeoIP2-ISP",
        fields: &[
            ("autonomous_system_number", AS_NUMBER),
            ("autonomous_system_organization", AS_ORGANIZATION),
            ("ip", Read::Address),
            ("isp", Read::Text(&[Key("isp")])),
            ("organization", Read::Text(&[Key("organization")])),
        ],
        defaults: &[
            "ip",
            "autonomous_system_number",
            "autonomous_system_organization",
            "isp",
            "organization",
        ],
        needs_location: false,
    },
    Kind {
        mark: "Enterprise",
        fields: &[
            ("autonomous_system_number", Read::Number(&[Key("traits"), Key("autonomous_system_number")])),
            (
                "autonomous_system_organization",
                Read::Text(&[Key("traits"), Key("autonomous_system_organization")]),
            ),
            ("city_name", CITY_NAME),
            ("country_name", COUNTRY_NAME),
            ("continent_name", CONTINENT_NAME),
            ("country_code2", Read::Text(COUNTRY)),
            ("ip", Read::Address),
            ("region_name", REGION_NAME),
            ("region_iso_code", Read::Region),
            ("timezone", TIMEZONE),
            ("location", Read::Location),
            ("network", Read::Network),
            ("hosting_provider", Read::Flag(&[Key("traits"), Key("is_hosting_provider")])),
            ("tor_exit_node", Read::Flag(&[Key("traits"), Key("is_tor_exit_node")])),
            ("anonymous_vpn", Read::Flag(&[Key("traits"), Key("is_anonymous_vpn")])),
            ("anonymous", Read::Flag(&[Key("traits"), Key("is_anonymous")])),
            ("public_proxy", Read::Flag(&[Key("traits"), Key("is_public_proxy")])),
            ("residential_proxy", Read::Flag(&[Key("traits"), Key("is_residential_proxy")])),
        ],
        defaults: &[
            "ip",
            "country_code2",
            "country_name",
            "continent_name",
            "region_iso_code",
            "region_name",
            "city_name",
            "location",
        ],
        needs_location: false,
    },
    Kind {
        mark: "GeoIP2-Anonymous-IP",
        fields: &[
            ("ip", Read::Address),
            ("hosting_provider", Read::Flag(&[Key("is_hosting_provider")])),
            ("tor_exit_node", Read::Flag(&[Key("is_tor_exit_node")])),
            ("anonymous_vpn", Read::Flag(&[Key("is_anonymous_vpn")])),
            ("anonymous", Read::Flag(&[Key("is_anonymous")])),
            ("public_proxy", Read::Flag(&[Key("is_public_proxy")])),
            ("residential_proxy", Read::Flag(&[Key("is_residential_proxy")])),
        ],
        defaults: &[
            "hosting_provider",
            "tor_exit_node",
            "anonymous_vpn",
            "anonymous",
            "public_proxy",
            "residential_proxy",
        ],
        needs_location: false,
    },
];

static NAMES: &[(&str, &str, Option<&str>)] = &[
    ("autonomous_system_number", "[asn]", Some("[as][number]")),
    ("autonomous_system_organization", "[as_org]", Some("[as][organization][name]")),
    ("city_name", "[city_name]", Some("[geo][city_name]")),
    ("country_name", "[country_name]", Some("[geo][country_name]")),
    ("continent_code", "[continent_code]", Some("[geo][continent_code]")),
    ("continent_name", "[continent_name]", Some("[geo][continent_name]")),
    ("country_code2", "[country_code2]", Some("[geo][country_iso_code]")),
    ("country_code3", "[country_code3]", None),
    ("domain", "[domain]", Some("[domain]")),
    ("ip", "[ip]", Some("[ip]")),
    ("isp", "[isp]", Some("[mmdb][isp]")),
    ("postal_code", "[postal_code]", Some("[geo][postal_code]")),
    ("dma_code", "[dma_code]", Some("[mmdb][dma_code]")),
    ("region_name", "[region_name]", Some("[geo][region_name]")),
    ("region_code", "[region_code]", Some("[geo][region_code]")),
    ("region_iso_code", "[region_iso_code]", Some("[geo][region_iso_code]")),
    ("timezone", "[timezone]", Some("[geo][timezone]")),
    ("location", "[location]", Some("[geo][location]")),
    ("latitude", "[latitude]", Some("[geo][location][lat]")),
    ("longitude", "[longitude]", Some("[geo][location][lon]")),
    ("organization", "[organization]", Some("[mmdb][organization]")),
    ("network", "[network]", Some("[ip_traits][network]")),
    ("hosting_provider", "[hosting_provider]", Some("[ip_traits][hosting_provider]")),
    ("tor_exit_node", "[tor_exit_node]", Some("[ip_traits][tor_exit_node]")),
    ("anonymous_vpn", "[anonymous_vpn]", Some("[ip_traits][anonymous_vpn]")),
    ("anonymous", "[anonymous]", Some("[ip_traits][anonymous]")),
    ("public_proxy", "[public_proxy]", Some("[ip_traits][public_proxy]")),
    ("residential_proxy", "[residential_proxy]", Some("[ip_traits][residential_proxy]")),
];
