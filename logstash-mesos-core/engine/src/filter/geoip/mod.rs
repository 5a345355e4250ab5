//! `geoip`: where an address is, by a database of MaxMind.

mod address;
mod database;
mod fields;
#[cfg(test)]
mod testing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use database::Database;
use fields::Read;

use crate::event::{Event, Map, Text, Value};
use crate::plugin::field::{Failed, Field, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::tools::cache::Cache;

pub(crate) static GEOIP: PluginSpec = PluginSpec {
    name: "geoip",
    doc: "Finds where an address is, by a database of MaxMind.",
    settings: &[
        Setting::new("source", Kind::String, "The field with the address or the name of a host.").required(),
        Setting::new(
            "target",
            Kind::String,
            "Where the result goes: what `source` lies in, if that ends with `[ip]`; `geoip` without ECS.",
        ),
        Setting::new(
            "database",
            Kind::Path,
            "A .mmdb file; none comes with the engine. Otherwise that of `geoipupdate` in the system.",
        ),
        Setting::new(
            "default_database_type",
            Kind::OneOf(&["City", "ASN"]),
            "Which of the system's databases is meant.",
        )
        .default(Default::String("City")),
        Setting::new("fields", Kind::Array, "The fields to set; otherwise those usual for the database."),
        Setting::new("cache_size", Kind::Number, "How many results each worker keeps.")
            .default(Default::Int(1000)),
        Setting::new("tag_on_failure", Kind::Array, "Tags for events whose address is not found.")
            .default(Default::Strings(&["_geoip_lookup_failure"])),
    ],
    build: Build::Filter(build),
};

/// Where `geoipupdate` of the distributions puts databases.
const SYSTEM_DIRS: [&str; 2] = ["/var/lib/GeoIP", "/usr/share/GeoIP"];

/// The fields below which ECS has `geo`.
const ECS_TARGETS: [&str; 6] = ["client", "destination", "host", "observer", "server", "source"];

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let source = settings.text("source").unwrap_or_default();
    let target = match settings.text("target") {
        Some(target) => target,
        None => match source.strip_suffix("[ip]") {
            _ if context.ecs.select(true, false) => Text::from_static("geoip"),
            Some(parent) if !parent.is_empty() => Text::from(parent),
            _ => {
                return Err(BuildError::setting(
                    "target",
                    "with ECS, `geoip` must be told where its result goes",
                )
                .remedy("set `target`, or use a `source` such as `[client][ip]`"));
            }
        },
    };
    let name = target.as_str();
    let name = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if context.ecs.select(false, true) && !ECS_TARGETS.contains(&name) {
        context.warn(
            "target",
            format!("ECS has no geo fields below `{target}`"),
            format!("use one of {}", ECS_TARGETS.join(", ")),
        );
    }
    let database = open(settings)?;
    let named = settings.strings("fields");
    let wanted: Vec<Text> = if named.is_empty() {
        let code = context.ecs.select("region_code", "region_iso_code");
        let defaults = database.kind.defaults.iter();
        defaults.map(|name| Text::from_static(if *name == "region_iso_code" { code } else { name })).collect()
    } else {
        named.iter().map(|name| Text::from(name.to_lowercase())).collect()
    };
    if let Some(unknown) = wanted.iter().find(|name| fields::names(name).is_none()) {
        let known = fields::all().collect::<Vec<_>>().join(", ");
        return Err(BuildError::setting("fields", format!("`geoip` has no field `{unknown}`"))
            .remedy(format!("use some of {known}")));
    }
    let (mut read, mut places) = (Vec::new(), Vec::new());
    for (name, how) in database.kind.fields.iter().filter(|(name, _)| wanted.iter().any(|want| want == name))
    {
        let (old, ecs) = fields::names(name).unwrap_or_default();
        read.push(*how);
        places.push(
            context.ecs.select(Some(old), ecs).map(|name| settings.field_of(&format!("[{target}]{name}"))),
        );
    }
    let capacity = usize::try_from(settings.int("cache_size").unwrap_or(0)).unwrap_or(0);
    Ok(Box::new(GeoIp {
        source: settings.field_of(&source),
        target: settings.field_of(&target),
        shared: Arc::new(Shared { database, read, places, tags: settings.strings("tag_on_failure") }),
        cache: Cache::new(capacity),
    }))
}

fn open(settings: &Settings) -> Result<Arc<Database>, BuildError> {
    let path = match settings.text("database") {
        Some(path) => PathBuf::from(path.as_str()),
        None => {
            let kind = settings.text("default_database_type").unwrap_or_default();
            let file = format!("GeoLite2-{kind}.mmdb");
            let found = SYSTEM_DIRS.iter().map(|dir| Path::new(dir).join(&file)).find(|path| path.exists());
            found.ok_or_else(|| {
                BuildError::setting("database", format!("there is no {file} in {}", SYSTEM_DIRS.join(" or ")))
                    .remedy(
                        "get a database from MaxMind (geoipupdate does it) and name its file with `database`; \
                         none comes with this engine and none is downloaded",
                    )
                    .in_file()
            })?
        }
    };
    Database::open(&path).map_err(|message| {
        BuildError::setting("database", message)
            .remedy("use a City, Country, ASN, ISP, Domain, Enterprise or Anonymous-IP database of MaxMind")
            .in_file()
    })
}

#[derive(Debug)]
struct GeoIp {
    source: Field,
    target: Field,
    shared: Arc<Shared>,
    cache: Cache<Arc<Found>>,
}

#[derive(Debug)]
struct Shared {
    database: Arc<Database>,
    read: Vec<Read>,
    /// Where each of `read` goes; nowhere for what ECS has not.
    places: Vec<Option<Field>>,
    tags: Vec<Text>,
}

/// What there is for one address.
#[derive(Debug)]
struct Found {
    values: Vec<(usize, Value)>,
    /// Addresses of hosts change, and hosts appear.
    until: Option<Instant>,
}

/// As long as Java keeps the address of a host, and that there is none.
const HOST_TTL: Duration = Duration::from_secs(30);
const NO_HOST_TTL: Duration = Duration::from_secs(10);

impl Filter for GeoIp {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).unwrap_or(false) {
            cx.matched(event);
        } else {
            tag_all(event, &self.shared.tags);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            source: self.source.clone(),
            target: self.target.clone(),
            shared: Arc::clone(&self.shared),
            cache: self.cache.fork(),
        })
    }
}

impl GeoIp {
    /// Whether there is something about the address.
    fn apply(&mut self, event: &mut Event) -> Result<bool, Failed> {
        let address = match event.get(self.source.get()?) {
            Some(Value::Text(address)) => address,
            Some(Value::List(items)) => match items.first() {
                Some(Value::Text(address)) => address,
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        if address.chars().all(|c| c <= ' ') {
            return Ok(false);
        }
        let found = match self.cache.get(address) {
            Some(found) if found.until.is_none_or(|until| Instant::now() < until) => found,
            _ => {
                let found = Arc::new(self.shared.find(address));
                self.cache.insert(address, Arc::clone(&found));
                found
            }
        };
        let target = self.target.get()?;
        if matches!(event.get(target), None | Some(Value::Null)) {
            event.set(target, Map::new())?;
        }
        for (at, value) in &found.values {
            if let Some(place) = &self.shared.places[*at] {
                event.set(place.get()?, value.clone())?;
            }
        }
        Ok(!found.values.is_empty())
    }
}

impl Shared {
    fn find(&self, address: &str) -> Found {
        let (address, until) = match address::parse(address) {
            Ok(address) => (address, None),
            Err(host) => {
                let found = address::resolve(host);
                (found, Some(Instant::now() + if found.is_some() { HOST_TTL } else { NO_HOST_TTL }))
            }
        };
        let values = address.map(|address| self.database.find(address, &self.read));
        let values = values.transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "Database has a record that cannot be read");
            None
        });
        Found { values: values.unwrap_or_default(), until }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Mmdb;
    use super::*;
    use crate::plugin::EcsCompatibility;
    use crate::testing::{build, build_with, fields, json_event, run, run_with, tagging};

    const CITY: &str = r#"{"city":{"names":{"de":"Neustadt","en":"New Town"}},
        "continent":{"code":"EU","names":{"en":"Europe"}},
        "country":{"iso_code":"DE","names":{"en":"Germany"}},
        "location":{"latitude":51.25,"longitude":-9.5,"metro_code":819,"time_zone":"Europe/Berlin"},
        "postal":{"code":"12345"},
        "subdivisions":[{"iso_code":"XX","names":{"en":"Outer"}},{"iso_code":"HE","names":{"en":"Inner"}}]}"#;

    fn city() -> Mmdb {
        Mmdb::new("GeoLite2-City")
            .with("81.2.69.0/24", CITY)
            .with("81.2.70.0/24", r#"{"country":{"iso_code":"DE"}}"#)
            .with("81.2.71.0/24", r#"{"location":{"latitude":1.5,"longitude":2.5},"country":{"iso_code":5}}"#)
            .with("2001:db8::/32", CITY)
            .with("127.0.0.0/8", r#"{"location":{"latitude":0.5,"longitude":0.25}}"#)
    }

    /// The event `{"a": address}` after the filter, without `a`.
    fn located(database: &Mmdb, ecs: EcsCompatibility, more: &str, address: &str) -> String {
        let settings = format!(r#"{{"source":"a","target":"t","database":"{}"{more}}}"#, database.path());
        let mut filter = build_with(&GEOIP, &settings, ecs).unwrap();
        let mut result = String::new();
        // Twice: the second time from the cache.
        for _ in 0..2 {
            let mut event = json_event(&format!(r#"{{"a":{address}}}"#));
            run(&mut *filter, &mut event);
            result = fields(&event);
        }
        result.replacen(&format!(r#""a":{address}"#), "", 1).replacen("{,", "{", 1)
    }

    const LEGACY: EcsCompatibility = EcsCompatibility::Disabled;
    const ECS: EcsCompatibility = EcsCompatibility::V8;
    const NOT_FOUND: &str = r#"{"t":{},"tags":["_geoip_lookup_failure"]}"#;

    #[test]
    fn cities_with_and_without_ecs() {
        let database = city().write();
        assert_eq!(
            located(&database, LEGACY, "", r#""81.2.69.144""#),
            concat!(
                r#"{"t":{"city_name":"New Town","country_name":"Germany","continent_code":"EU","country_code2":"DE","#,
                r#""country_code3":"DE","ip":"81.2.69.144","postal_code":"12345","dma_code":819,"region_name":"Inner","#,
                r#""region_code":"HE","timezone":"Europe/Berlin","location":{"lat":51.25,"lon":-9.5},"latitude":51.25,"#,
                r#""longitude":-9.5}}"#
            )
        );
        assert_eq!(
            located(&database, ECS, "", r#"["2001:db8::1","81.2.69.1"]"#),
            concat!(
                r#"{"t":{"geo":{"city_name":"New Town","country_name":"Germany","continent_code":"EU","#,
                r#""country_iso_code":"DE","postal_code":"12345","region_name":"Inner","region_iso_code":"DE-HE","#,
                r#""timezone":"Europe/Berlin","location":{"lat":51.25,"lon":-9.5}},"ip":"2001:db8:0:0:0:0:0:1","#,
                r#""mmdb":{"dma_code":819}}}"#
            )
        );
        let some = r#","fields":["CONTINENT_NAME","region_code","latitude","network","isp"]"#;
        assert_eq!(
            located(&database, LEGACY, some, r#""81.2.69.1""#),
            r#"{"t":{"continent_name":"Europe","region_code":"HE","latitude":51.25}}"#
        );
        // It is there, but ECS has no place for it.
        assert_eq!(
            located(&database, ECS, r#","fields":["country_code3"]"#, r#""81.2.69.1""#),
            r#"{"t":{}}"#
        );
    }

    #[test]
    fn what_is_not_found_is_tagged() {
        let database = city().write();
        // No record, no coordinates, a record that is broken, no address.
        for address in ["0.0.0.0", "::1", "81.2.70.1", "81.2.71.1", "-", "N/A", "123.45.67.89,61.160.232.222"]
        {
            assert_eq!(located(&database, ECS, "", &format!("\"{address}\"")), NOT_FOUND, "{address}");
        }
        for nothing in [r#""""#, r#""   ""#, "null", "5", "[]", "[5]", "{}"] {
            let result = located(&database, ECS, r#","tag_on_failure":["x","y"]"#, nothing);
            assert_eq!(result, r#"{"tags":["x","y"]}"#, "{nothing}");
        }
        // A host has an address.
        assert!(located(&database, LEGACY, "", r#""localhost""#).contains(r#""lat":0.5"#));
    }

    #[test]
    fn other_databases() {
        let asn = Mmdb::new("GeoLite2-ASN").with(
            "12.81.92.0/22",
            r#"{"autonomous_system_number":7018,"autonomous_system_organization":"AT&T Services"}"#,
        );
        let asn = asn.with("2001:db8::/33", r#"{"autonomous_system_number":1}"#).write();
        assert_eq!(
            located(&asn, LEGACY, "", r#""12.81.93.1""#),
            r#"{"t":{"asn":7018,"as_org":"AT&T Services","ip":"12.81.93.1"}}"#
        );
        let network = r#","fields":["autonomous_system_number","network"]"#;
        assert_eq!(
            located(&asn, ECS, network, r#""12.81.93.1""#),
            r#"{"t":{"as":{"number":7018},"ip_traits":{"network":"12.81.92.0/22"}}}"#
        );
        assert_eq!(
            located(&asn, LEGACY, network, r#""2001:db8::7""#),
            r#"{"t":{"asn":1,"network":"2001:db8:0:0:0:0:0:0/33"}}"#
        );
        let isp = Mmdb::new("GeoIP2-ISP").with("1.128.0.0/11", r#"{"isp":"I","organization":"O"}"#).write();
        assert_eq!(
            located(&isp, ECS, "", r#""1.128.0.1""#),
            r#"{"t":{"ip":"1.128.0.1","mmdb":{"isp":"I","organization":"O"}}}"#
        );
        let domain = Mmdb::new("GeoIP2-Domain").with("1.2.0.0/16", r#"{"domain":"maxmind.com"}"#);
        let domain = domain.with("1.3.0.0/16", "{}").write();
        assert_eq!(located(&domain, ECS, "", r#""1.2.0.1""#), r#"{"t":{"domain":"maxmind.com"}}"#);
        assert_eq!(located(&domain, ECS, "", r#""1.3.0.1""#), r#"{"t":{"domain":null}}"#);
        assert_eq!(located(&domain, ECS, "", r#""1.4.0.1""#), NOT_FOUND);
        let country = Mmdb::new("GeoIP2-Country").with("2.0.0.0/8", CITY).write();
        assert_eq!(
            located(&country, LEGACY, "", r#""2.3.4.5""#),
            r#"{"t":{"country_name":"Germany","continent_name":"Europe","country_code2":"DE","ip":"2.3.4.5"}}"#
        );
        let anonymous =
            Mmdb::new("GeoIP2-Anonymous-IP").with("3.0.0.0/8", r#"{"is_anonymous":true}"#).write();
        assert_eq!(
            located(&anonymous, ECS, r#","fields":["ip","anonymous","tor_exit_node"]"#, r#""3.3.4.5""#),
            r#"{"t":{"ip":"3.3.4.5","ip_traits":{"tor_exit_node":false,"anonymous":true}}}"#
        );
        let enterprise = r#"{"traits":{"autonomous_system_number":14671,"is_anonymous_vpn":true},
            "country":{"iso_code":"US"},"subdivisions":[{"iso_code":"NY"}]}"#;
        let enterprise = Mmdb::new("GeoIP2-Enterprise").with("4.0.0.0/8", enterprise).write();
        let some = r#","fields":["autonomous_system_number","region_iso_code","anonymous_vpn","location"]"#;
        assert_eq!(
            located(&enterprise, LEGACY, some, r#""4.3.4.5""#),
            r#"{"t":{"asn":14671,"region_iso_code":"US-NY","anonymous_vpn":true}}"#
        );
    }

    #[test]
    fn the_target_is_what_the_source_lies_in() {
        let database = city().write();
        let build = |settings: &str, ecs| {
            build_with(&GEOIP, &format!(r#"{{"database":"{}",{settings}}}"#, database.path()), ecs)
        };
        let mut filter = build(r#""source":"[client][ip]","fields":["country_code2"]"#, ECS).unwrap();
        let mut event = json_event(r#"{"client":{"ip":"81.2.69.1"}}"#);
        run_with(&mut *filter, &mut event, &tagging("found"));
        assert_eq!(
            fields(&event),
            r#"{"client":{"ip":"81.2.69.1","geo":{"country_iso_code":"DE"}},"tags":["found"]}"#
        );
        for settings in [r#""source":"[ip]""#, r#""source":"host_ip""#] {
            let error = build(settings, ECS).err().unwrap();
            assert_eq!(error.setting, Some("target"), "{error}");
        }
        let mut filter = build(r#""source":"ip","fields":["country_code2"]"#, LEGACY).unwrap();
        let mut event = json_event(r#"{"ip":"81.2.69.1"}"#);
        run(&mut *filter, &mut event);
        assert_eq!(fields(&event), r#"{"ip":"81.2.69.1","geoip":{"country_code2":"DE"}}"#);
        // What cannot take the result is no reason to lose the event.
        let mut event = json_event(r#"{"ip":"81.2.69.1","geoip":"x"}"#);
        run(&mut *filter, &mut event);
        assert_eq!(fields(&event), r#"{"ip":"81.2.69.1","geoip":"x","tags":["_geoip_lookup_failure"]}"#);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let said = |settings: &str| build(&GEOIP, settings).err().unwrap().to_string();
        let database = city().write();
        let path = database.path();
        assert!(said(r#"{"source":"a","target":"t","database":"/no/such"}"#).contains("/no/such"));
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "source 'https://example.org'").unwrap();
        let settings = format!(r#"{{"source":"a","target":"t","database":"{}"}}"#, text.path().display());
        assert!(said(&settings).contains("not a valid MaxMind database"));
        let other = Mmdb::new("DBIP-Weather").with("1.0.0.0/8", "{}").write();
        let settings = format!(r#"{{"source":"a","target":"t","database":"{}"}}"#, other.path());
        assert!(said(&settings).contains("`DBIP-Weather`"));
        let settings = format!(r#"{{"source":"a","target":"t","database":"{path}","fields":["asn"]}}"#);
        assert!(said(&settings).contains("no field `asn`"));
    }
}
