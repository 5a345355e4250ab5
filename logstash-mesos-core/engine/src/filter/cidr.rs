//! `cidr`: whether an address lies in a network.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use crate::compat::ruby;
use crate::compat::ruby::ip::Network;
use crate::event::{Event, Template, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static CIDR: PluginSpec = PluginSpec {
    name: "cidr",
    doc: "Marks events with an address of certain networks.",
    settings: &[
        Setting::new("address", Kind::Array, "The addresses.").default(Default::Strings(&[])),
        Setting::new("address_field", Kind::FieldReference, "The field with the address or a list of them."),
        Setting::new("network", Kind::Array, "The networks.").default(Default::Strings(&[])),
        Setting::new("network_path", Kind::Path, "A file with the networks."),
        Setting::new("refresh_interval", Kind::Number, "Seconds after which the file is read again.")
            .default(Default::Int(600)),
        Setting::new("separator", Kind::String, "What stands between the networks of the file.")
            .default(Default::String("\n")),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let networks = settings.strings("network");
    let addresses = settings.strings("address");
    let path = settings.text("network_path");
    if path.is_some() && !networks.is_empty() {
        return Err(BuildError::setting("network_path", "`network` and `network_path` cannot both be given"));
    }
    let field = settings.text("address_field");
    if field.is_some() && !addresses.is_empty() {
        return Err(BuildError::setting(
            "address_field",
            "`address` and `address_field` cannot both be given",
        ));
    }
    let networks = match path {
        Some(path) => Networks::File(Arc::new(NetworkFile::open(
            PathBuf::from(path.as_str()),
            settings.text("separator").unwrap_or_default(),
            Duration::from_secs(u64::try_from(settings.int("refresh_interval").unwrap_or(600)).unwrap_or(0)),
        )?)),
        None => {
            Networks::Listed(networks.iter().map(|text| Listed::new(settings.template_of(text))).collect())
        }
    };
    Ok(Box::new(Cidr {
        addresses: match field {
            Some(field) => Addresses::Field(settings.field_of(&field)),
            None => Addresses::Templates(addresses.iter().map(|text| settings.template_of(text)).collect()),
        },
        networks,
    }))
}

#[derive(Clone, Debug)]
struct Cidr {
    addresses: Addresses,
    networks: Networks,
}

#[derive(Clone, Debug)]
enum Addresses {
    Field(Field),
    Templates(Vec<Template>),
}

#[derive(Clone, Debug)]
enum Networks {
    Listed(Vec<Listed>),
    File(Arc<NetworkFile>),
}

/// An entry of `network`: several networks with commas between them, maybe from the event.
#[derive(Clone, Debug)]
enum Listed {
    Same(Vec<Network>),
    PerEvent(Template),
}

impl Listed {
    fn new(template: Template) -> Self {
        if template.is_constant() {
            Self::Same(networks(template.source()))
        } else {
            Self::PerEvent(template)
        }
    }
}

fn networks(text: &str) -> Vec<Network> {
    text.split(',').filter_map(|part| Network::parse(part.trim())).collect()
}

impl Filter for Cidr {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.matches(event).unwrap_or(false) {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }

    fn flushes(&self) -> bool {
        matches!(self.networks, Networks::File(_))
    }

    fn keeps_events(&self) -> bool {
        false
    }

    fn flush(&mut self, _: &mut FilterContext<'_>, last: bool) {
        if let Networks::File(file) = &self.networks
            && !last
        {
            file.refresh();
        }
    }
}

impl Cidr {
    fn matches(&self, event: &Event) -> Result<bool, Failed> {
        let mut addresses = Vec::new();
        match &self.addresses {
            Addresses::Field(field) => match event.get(field.get()?) {
                None => {}
                Some(Value::List(items)) => {
                    addresses.extend(items.iter().filter_map(|item| Network::parse(item.as_text()?)));
                }
                Some(value) => addresses.extend(value.as_text().and_then(|text| Network::parse(text))),
            },
            Addresses::Templates(templates) => {
                for template in templates {
                    addresses.extend(Network::parse(&template.render(event)?));
                }
            }
        }
        let any = |networks: &[Network]| {
            networks.iter().any(|network| addresses.iter().any(|address| network.contains(address)))
        };
        match &self.networks {
            _ if addresses.is_empty() => Ok(false),
            Networks::File(file) => Ok(any(&file.current())),
            Networks::Listed(listed) => {
                for entry in listed {
                    let found = match entry {
                        Listed::Same(networks) => any(networks),
                        Listed::PerEvent(template) => any(&networks(&template.render(event)?)),
                    };
                    if found {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// The networks of a file, common to all workers.
#[derive(Debug)]
struct NetworkFile {
    path: PathBuf,
    separator: Text,
    interval: Duration,
    state: RwLock<(Arc<Vec<Network>>, Instant)>,
}

impl NetworkFile {
    fn open(path: PathBuf, separator: Text, interval: Duration) -> Result<Self, BuildError> {
        let networks = read(&path, &separator).map_err(|error| {
            BuildError::setting(
                "network_path",
                format!("cannot read the networks in `{}`: {error}", path.display()),
            )
            .in_file()
        })?;
        Ok(Self { path, separator, interval, state: RwLock::new((Arc::new(networks), Instant::now())) })
    }

    fn current(&self) -> Arc<Vec<Network>> {
        Arc::clone(&self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner).0)
    }

    /// Reads the file again when it is time; an unreadable or empty one changes nothing.
    fn refresh(&self) {
        let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.1.elapsed() < self.interval {
            return;
        }
        state.1 = Instant::now();
        match read(&self.path, &self.separator) {
            Ok(networks) if networks.is_empty() => {}
            Ok(networks) => state.0 = Arc::new(networks),
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "Cannot read the networks again")
            }
        }
    }
}

fn read(path: &std::path::Path, separator: &str) -> std::io::Result<Vec<Network>> {
    let text = Text::from(std::fs::read_to_string(path)?);
    Ok(ruby::split(&text, separator).iter().filter_map(|line| Network::parse(line.as_str().trim())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, json_event, run_with, tagging};

    fn tagged(settings: &str, event: &str) -> bool {
        let mut filter = build(&CIDR, settings).unwrap();
        let mut event = json_event(event);
        run_with(&mut *filter, &mut event, &tagging("in"));
        event.fields().contains_key("tags")
    }

    #[test]
    fn addresses_in_networks_match() {
        assert!(tagged(
            r#"{"address":["%{ip}"],"network":["192.168.0.0/16, 10.0.0.0/8"]}"#,
            r#"{"ip":"10.1.1.1"}"#
        ));
        assert!(tagged(
            r#"{"address_field":"ip","network":["%{net}"]}"#,
            r#"{"ip":["x","fd00::1"],"net":"fd00::/8"}"#
        ));
        assert!(!tagged(r#"{"address":["%{ip}"],"network":["10.0.0.0/8"]}"#, r#"{"ip":"11.1.1.1"}"#));
        assert!(!tagged(r#"{"address":["%{ip}"],"network":["10.0.0.0/8"]}"#, "{}"));
        assert!(build(&CIDR, r#"{"address":["1.1.1.1"],"address_field":"x"}"#).is_err());
    }

    #[test]
    fn networks_come_from_a_file_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "10.0.0.0/8\nbad\n192.168.0.0/16\n").unwrap();
        let settings = format!(r#"{{"address_field":"ip","network_path":"{}"}}"#, file.path().display());
        assert!(tagged(&settings, r#"{"ip":"192.168.3.4"}"#));
        assert!(!tagged(&settings, r#"{"ip":"8.8.8.8"}"#));
        assert!(build(&CIDR, r#"{"network_path":"/does/not/exist"}"#).is_err());
    }
}
