//! `dns`: addresses of names and names of addresses.

mod resolver;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use logstash_mesos_engine::tools::cache::Cache;
use resolver::{HostsFile, Resolver, is_address};

use crate::dns::{Servers, TimedOut, server_address};
use crate::event::{Event, Text, Value};
use crate::pipeline::plugin::field::{Failed, Field, tag_all};
use crate::pipeline::plugin::settings::{Default, Kind, Setting, SettingValue, Settings};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static DNS: PluginSpec = PluginSpec {
    name: "dns",
    doc: "Finds the addresses of names and the names of addresses.",
    settings: &[
        Setting::new("resolve", Kind::Array, "Fields with names."),
        Setting::new("reverse", Kind::Array, "Fields with addresses."),
        Setting::new(
            "action",
            Kind::OneOf(&["append", "replace"]),
            "Whether the result is added to what the field has, or put in its place.",
        )
        .default(Default::String("append")),
        Setting::new(
            "nameserver",
            Kind::Array,
            "Addresses of name servers, or a hash of `address`, `search` and `ndots`; otherwise those of the \
             system. Here an address may have a port, as in `127.0.0.1:8600`.",
        ),
        Setting::new("timeout", Kind::Number, "Seconds to wait for each name server.")
            .default(Default::Float(0.5)),
        Setting::new("max_retries", Kind::Number, "How many times to ask again when no server answers.")
            .default(Default::Int(2)),
        Setting::new("hit_cache_size", Kind::Number, "How many results to keep.").default(Default::Int(0)),
        Setting::new("hit_cache_ttl", Kind::Number, "For how many seconds results are kept.")
            .default(Default::Int(60)),
        Setting::new("failed_cache_size", Kind::Number, "How many failures to keep.")
            .default(Default::Int(0)),
        Setting::new("failed_cache_ttl", Kind::Number, "For how many seconds failures are kept.")
            .default(Default::Int(5)),
        Setting::new("hostsfile", Kind::Array, "Files that are asked before `/etc/hosts`."),
        Setting::new(
            "tag_on_timeout",
            Kind::List(&Kind::String),
            "Tags for events for which no server answered in time.",
        )
        .default(Default::Strings(&["_dnstimeout"])),
    ],
    build: Build::Filter(build),
};

const HOSTS: &str = "/etc/hosts";

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let seconds = |name, default: f64| {
        Duration::try_from_secs_f64(settings.float(name).unwrap_or(default)).unwrap_or_default()
    };
    let timeout = seconds("timeout", 0.5);
    let own_hosts = settings.strings("hostsfile");
    let servers = match (settings.get("nameserver"), settings.get("hostsfile")) {
        (None, None) => Some(Servers::of_system(timeout)),
        (None, Some(_)) => None,
        (Some(nameserver), _) => servers(nameserver, timeout)?,
    };
    let hosts = own_hosts.iter().map(Text::as_str).chain([HOSTS]).map(HostsFile::new).collect();
    let fields = |name| settings.strings(name).iter().map(|field| settings.field_of(field)).collect();
    let size = |name| settings.int(name).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    Ok(Box::new(Dns {
        resolve: fields("resolve"),
        reverse: fields("reverse"),
        append: settings.text("action").is_none_or(|action| action == "append"),
        max_retries: settings.int("max_retries").unwrap_or(2),
        tags: settings.strings("tag_on_timeout"),
        shared: Arc::new(Shared {
            resolver: Resolver { hosts, servers },
            hits: Kept::new(size("hit_cache_size"), seconds("hit_cache_ttl", 60.0)),
            failures: Kept::new(size("failed_cache_size"), seconds("failed_cache_ttl", 5.0)),
        }),
    }))
}

fn servers(setting: &SettingValue, timeout: Duration) -> Result<Option<Servers>, BuildError> {
    let wrong = |message: String| BuildError::setting("nameserver", message);
    let texts = |value: &SettingValue| -> Vec<Text> {
        value.items().iter().filter_map(SettingValue::to_text).collect()
    };
    let (mut addresses, mut search, mut ndots) = (None, Vec::new(), 1);
    match setting {
        SettingValue::Hash(entries) if entries.is_empty() => return Ok(None),
        SettingValue::Hash(entries) => {
            for (key, value) in entries {
                match key.as_str() {
                    "address" => addresses = Some(texts(value)),
                    "search" => search = texts(value),
                    "ndots" => {
                        let number = value.to_text().and_then(|text| text.parse().ok());
                        ndots = number.filter(|ndots| *ndots > 0).ok_or_else(|| {
                            wrong("`ndots` of `nameserver` must be a positive number".to_owned())
                        })?;
                    }
                    other => {
                        return Err(wrong(format!("`nameserver` has no `{other}`"))
                            .remedy("use `address`, `search` and `ndots`"));
                    }
                }
            }
        }
        list => {
            addresses = Some(texts(list));
            if addresses.as_ref().is_some_and(Vec::is_empty) {
                return Ok(None);
            }
        }
    }
    let addresses = addresses.filter(|list| !list.is_empty()).ok_or_else(|| {
        wrong("`nameserver` has no `address`".to_owned()).remedy("write the addresses of name servers")
    })?;
    if search.len() > MAX_SEARCH {
        return Err(wrong(format!("`search` of `nameserver` takes at most {MAX_SEARCH} domains")));
    }
    let addresses: Vec<SocketAddr> = addresses
        .iter()
        .map(|text| {
            server_address(text).ok_or_else(|| {
                wrong(format!("`{text}` is not the address of a name server"))
                    .remedy("write an address such as `10.0.0.2` or `10.0.0.2:53`")
            })
        })
        .collect::<Result<_, _>>()?;
    let search = search.iter().map(ToString::to_string).collect();
    Ok(Some(Servers { addresses, search, ndots, timeout }))
}

const MAX_SEARCH: usize = 6;

#[derive(Clone, Debug)]
struct Dns {
    resolve: Vec<Field>,
    reverse: Vec<Field>,
    append: bool,
    max_retries: i64,
    tags: Vec<Text>,
    shared: Arc<Shared>,
}

/// Common to all workers.
#[derive(Debug)]
struct Shared {
    resolver: Resolver,
    hits: Kept<Text>,
    failures: Kept<()>,
}

/// Results that are good for some time.
#[derive(Debug)]
struct Kept<V> {
    time: Duration,
    cache: Mutex<Cache<(Instant, V)>>,
}

impl<V: Clone> Kept<V> {
    fn new(size: usize, time: Duration) -> Self {
        Self { time, cache: Mutex::new(Cache::new(size)) }
    }

    fn get(&self, key: &str) -> Option<V> {
        let (since, value) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(key)?;
        (since.elapsed() < self.time).then_some(value)
    }

    fn insert(&self, key: &str, value: V) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (Instant::now(), value));
    }
}

/// The names of addresses, by the hosts file and the name servers of the system.
#[derive(Debug)]
pub(crate) struct Names {
    resolver: Resolver,
    kept: Kept<Option<String>>,
}

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a name, or that there is none, is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

impl Names {
    /// As the system says now.
    pub(crate) fn of_system() -> Self {
        Self::new(Resolver {
            hosts: vec![HostsFile::new("/etc/hosts")],
            servers: Some(Servers::of_system(PATIENCE)),
        })
    }

    fn new(resolver: Resolver) -> Self {
        Self { resolver, kept: Kept::new(1000, REMEMBERED) }
    }

    /// The name of an address, if it has one. Takes as long as the name servers do.
    pub(crate) fn of(&self, address: &str) -> Option<String> {
        if let Some(kept) = self.kept.get(address) {
            return kept;
        }
        let name = self.resolver.name(address).ok().flatten();
        self.kept.insert(address, name.clone());
        name
    }
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Resolve,
    Reverse,
}

impl Filter for Dns {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let all = self
            .resolve
            .iter()
            .map(|field| (field, Direction::Resolve))
            .chain(self.reverse.iter().map(|field| (field, Direction::Reverse)));
        for (field, direction) in all {
            if self.apply(event, field, direction).is_err() {
                return;
            }
        }
        cx.matched(event);
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Dns {
    /// Looks up what one field holds. Where it fails, fields after it are left alone.
    fn apply(&self, event: &mut Event, field: &Field, direction: Direction) -> Result<(), Failed> {
        let field = field.get()?;
        let (asked, in_list) = match event.get(field) {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Text(text)) => (text.clone(), false),
            Some(Value::List(items)) => match items.as_slice() {
                [Value::Text(text)] => (text.clone(), true),
                _ => return Err(Failed),
            },
            Some(_) => return Err(Failed),
        };
        let found = match self.look_up(&asked, direction) {
            Ok(found) => found.ok_or(Failed)?,
            Err(TimedOut) => {
                tag_all(event, &self.tags);
                return Err(Failed);
            }
        };
        let found = Value::Text(found);
        let value = match (self.append, in_list) {
            (true, _) => Value::List(vec![Value::Text(asked), found]),
            (false, true) => Value::List(vec![found]),
            (false, false) => found,
        };
        Ok(event.set(field, value)?)
    }

    fn look_up(&self, asked: &str, direction: Direction) -> Result<Option<Text>, TimedOut> {
        let shared = &self.shared;
        let asked_for = match direction {
            Direction::Resolve => match to_ascii(asked) {
                Some(name) => name,
                None => return Ok(None),
            },
            Direction::Reverse if is_address(asked) => Cow::Borrowed(asked),
            Direction::Reverse => return Ok(None),
        };
        if shared.failures.get(asked).is_some() {
            return Ok(None);
        }
        if let Some(found) = shared.hits.get(asked) {
            return Ok(Some(found));
        }
        let ask = || match direction {
            Direction::Resolve => shared.resolver.address(&asked_for),
            Direction::Reverse => {
                Ok(shared.resolver.name(&asked_for)?.map(|name| to_unicode(&name).into_owned()))
            }
        };
        let mut result = ask();
        for _ in 0..self.max_retries {
            if result.is_ok() {
                break;
            }
            result = ask();
        }
        match &result {
            Ok(Some(found)) => shared.hits.insert(asked, Text::from(found.as_str())),
            Ok(None) | Err(TimedOut) => shared.failures.insert(asked, ()),
        }
        Ok(result?.map(Text::from))
    }
}

/// The form in which a name travels. Nothing for a name that has none.
fn to_ascii(name: &str) -> Option<Cow<'_, str>> {
    let long = |label: &str| label.len() > 63;
    if name.is_ascii() {
        return (!name.split('.').any(long)).then_some(Cow::Borrowed(name));
    }
    idna::domain_to_ascii(name).ok().filter(|name| !name.split('.').any(long)).map(Cow::Owned)
}

/// The form in which people write a name.
fn to_unicode(name: &str) -> Cow<'_, str> {
    let encoded =
        name.split('.').any(|label| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")));
    match encoded.then(|| idna::domain_to_unicode(name)) {
        Some((name, Ok(()))) => Cow::Owned(name),
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use logstash_mesos_engine::testing::{build, fields, json_event, run_with, tagging};

    use super::*;
    use crate::dns::testing::Server;

    fn looked_up(settings: &str, event: &str) -> String {
        let mut filter = build(&DNS, settings).unwrap();
        let mut event = json_event(event);
        run_with(&mut *filter, &mut event, &tagging("found"));
        fields(&event)
    }

    fn server() -> Server {
        Server::start(&[
            ("carrera.databits.net", 1, "199.192.228.250"),
            ("alias.databits.net", 5, "carrera.databits.net"),
            ("250.228.192.199.in-addr.arpa", 12, "carrera.databits.net"),
            ("1.0.0.10.in-addr.arpa", 12, "xn--mller-kva.com"),
            ("xn--d1acpjx3f.xn--p1ai", 1, "10.10.0.1"),
            ("training.elastic.co", 1, "10.0.0.9"),
            ("none.databits.net", 12, "x"),
            ("many.databits.net", 1, "10.0.0.1 10.0.0.2"),
        ])
    }

    // logstash-filter-dns/spec/filters/dns_spec.rb, against a server of our own.
    #[test]
    fn names_and_addresses_are_looked_up() {
        let server = server();
        let check = |settings: &str, event: &str, wanted: &str| {
            let settings = format!(r#"{{"nameserver":"{}",{settings}}}"#, server.address);
            assert_eq!(looked_up(&settings, event), wanted, "{settings}");
        };
        let replace = r#""action":"replace""#;
        check(
            &format!(r#""reverse":"foo",{replace}"#),
            r#"{"foo":"199.192.228.250"}"#,
            r#"{"foo":"carrera.databits.net","tags":["found"]}"#,
        );
        check(
            r#""reverse":"foo""#,
            r#"{"foo":"199.192.228.250"}"#,
            r#"{"foo":["199.192.228.250","carrera.databits.net"],"tags":["found"]}"#,
        );
        check(r#""reverse":"foo""#, r#"{"foo":"not.an.ip"}"#, r#"{"foo":"not.an.ip"}"#);
        check(
            &format!(r#""resolve":["foo","bar"],{replace}"#),
            r#"{"foo":["alias.databits.net"],"bar":"Яндекс.рф"}"#,
            r#"{"foo":["199.192.228.250"],"bar":"10.10.0.1","tags":["found"]}"#,
        );
        check(
            r#""resolve":"[a][b]""#,
            r#"{"a":{"b":["many.databits.net"]}}"#,
            r#"{"a":{"b":["many.databits.net","10.0.0.1"]},"tags":["found"]}"#,
        );
        // Both directions, one after the other.
        check(
            &format!(r#""resolve":"foo","reverse":["foo"],{replace}"#),
            r#"{"foo":"alias.databits.net"}"#,
            r#"{"foo":"carrera.databits.net","tags":["found"]}"#,
        );
        check(
            &format!(r#""reverse":"foo",{replace}"#),
            r#"{"foo":"10.0.0.1"}"#,
            r#"{"foo":"müller.com","tags":["found"]}"#,
        );
        check(
            r#""resolve":"foo""#,
            r#"{"foo":"1.2.3.4"}"#,
            r#"{"foo":["1.2.3.4","1.2.3.4"],"tags":["found"]}"#,
        );
        // A field that is not there is no failure; what has several values or none is.
        check(r#""resolve":["foo","gone"]"#, r#"{"foo":null}"#, r#"{"foo":null,"tags":["found"]}"#);
        for left in [
            r#"["carrera.databits.net","x"]"#,
            "5",
            "[]",
            "[5]",
            r#""does.not.exist""#,
            r#""none.databits.net""#,
            r#""""#,
            &format!(r#""{}.com""#, "0".repeat(64)),
        ] {
            let event = format!(r#"{{"foo":{left}}}"#);
            check(r#""resolve":["foo"]"#, &event, &event);
        }
    }

    #[test]
    fn names_are_completed() {
        let server = server();
        let settings = format!(
            r#"{{"resolve":"d","action":"replace","nameserver":{{"address":["{}"],"search":["x.org","elastic.co"]}}}}"#,
            server.address
        );
        assert_eq!(looked_up(&settings, r#"{"d":"training"}"#), r#"{"d":"10.0.0.9","tags":["found"]}"#);
        assert!(server.asked().ends_with(&["training.x.org".to_owned(), "training.elastic.co".to_owned()]));
        assert_eq!(
            looked_up(&settings, r#"{"d":"carrera.databits.net"}"#),
            r#"{"d":"199.192.228.250","tags":["found"]}"#
        );
    }

    #[test]
    fn the_next_server_is_asked_and_long_answers_come_over_tcp() {
        let silent = Server::silent();
        let server = server();
        let settings = format!(
            r#"{{"resolve":"d","action":"replace","timeout":0.05,"nameserver":["{}","{}"]}}"#,
            silent.address, server.address
        );
        assert_eq!(
            looked_up(&settings, r#"{"d":"carrera.databits.net"}"#),
            r#"{"d":"199.192.228.250","tags":["found"]}"#
        );
        let addresses = (1..200).map(|n| format!("10.0.1.{n}")).collect::<Vec<_>>().join(" ");
        let long = Server::start(&[("long.org", 1, &addresses)]);
        let settings = format!(r#"{{"resolve":"d","action":"replace","nameserver":"{}"}}"#, long.address);
        assert_eq!(looked_up(&settings, r#"{"d":"long.org"}"#), r#"{"d":"10.0.1.1","tags":["found"]}"#);
    }

    #[test]
    fn silence_is_tagged_after_retries() {
        let silent = Server::silent();
        let settings = |more: &str| {
            format!(r#"{{"resolve":"m","timeout":0.02,"nameserver":"{}"{more}}}"#, silent.address)
        };
        assert_eq!(looked_up(&settings(""), r#"{"m":"a.b"}"#), r#"{"m":"a.b","tags":["_dnstimeout"]}"#);
        assert_eq!(silent.asked().len(), 3);
        let none = settings(r#","max_retries":0,"tag_on_timeout":[]"#);
        assert_eq!(looked_up(&none, r#"{"m":"a.b"}"#), r#"{"m":"a.b"}"#);
        assert_eq!(silent.asked().len(), 4);
        // Failures are kept when that is wanted.
        let kept = settings(r#","max_retries":0,"failed_cache_size":10,"tag_on_timeout":["custom"]"#);
        let mut filter = build(&DNS, &kept).unwrap();
        for tags in [r#","tags":["custom"]"#, ""] {
            let mut event = json_event(r#"{"m":"a.b"}"#);
            run_with(&mut *filter, &mut event, &tagging("found"));
            assert_eq!(fields(&event), format!(r#"{{"m":"a.b"{tags}}}"#));
        }
        assert_eq!(silent.asked().len(), 5);
    }

    #[test]
    fn results_are_kept_when_that_is_wanted() {
        let server = server();
        let asked = |more: &str| {
            let before = server.asked().len();
            let settings = format!(r#"{{"resolve":"m","nameserver":"{}"{more}}}"#, server.address);
            let mut filter = build(&DNS, &settings).unwrap();
            for name in ["carrera.databits.net", "carrera.databits.net", "none.such.", "none.such."] {
                let mut other = filter.fork();
                let mut event = json_event(&format!(r#"{{"m":"{name}"}}"#));
                run_with(&mut *filter, &mut event, &tagging("found"));
                std::mem::swap(&mut filter, &mut other);
            }
            server.asked().len() - before
        };
        assert_eq!(asked(""), 4);
        assert_eq!(asked(r#","hit_cache_size":3"#), 3);
        assert_eq!(asked(r#","failed_cache_size":3"#), 3);
        assert_eq!(asked(r#","hit_cache_size":3,"failed_cache_size":3"#), 2);
        assert_eq!(asked(r#","hit_cache_size":3,"hit_cache_ttl":0"#), 4);
    }

    #[test]
    fn hosts_files_come_first() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let hosts = "10.10.0.1 xn--d1acpjx3f.xn--p1ai  # a name\n10.10.0.2 xn--mller-kva.com\n";
        std::fs::write(file.path(), hosts).unwrap();
        let settings = |what: &str| {
            format!(r#"{{"{what}":"d","action":"replace","hostsfile":["{}"]}}"#, file.path().display())
        };
        for (what, asked, found) in
            [("resolve", "Яндекс.рф", "10.10.0.1"), ("reverse", "10.10.0.2", "müller.com")]
        {
            assert_eq!(
                looked_up(&settings(what), &format!(r#"{{"d":"{asked}"}}"#)),
                format!(r#"{{"d":"{found}","tags":["found"]}}"#)
            );
        }
        assert_eq!(looked_up(&settings("resolve"), r#"{"d":"unknown.org"}"#), r#"{"d":"unknown.org"}"#);
    }

    #[test]
    fn wrong_name_servers_are_refused() {
        for (wrong, why) in [
            (r#"{"search":"a.org"}"#, "no `address`"),
            (r#"{"address":[]}"#, "no `address`"),
            (r#"{"address":"::1","search":["a","b","c","d","e","f","g"]}"#, "at most 6"),
            (r#"{"address":"::1","ndots":0}"#, "positive"),
            (r#"{"address":"::1","port":5}"#, "no `port`"),
            (r#""dns.example.org""#, "`dns.example.org` is not"),
        ] {
            let error = build(&DNS, &format!(r#"{{"nameserver":{wrong}}}"#)).err().unwrap();
            assert!(error.message.contains(why), "{error}");
        }
    }
}
