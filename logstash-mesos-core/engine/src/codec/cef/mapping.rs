//! What the keys of CEF are called in an event, and the other way round.

use std::collections::HashMap;

use crate::event::{FieldReference, Text};

/// One field of CEF.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Its full name.
    name: &'static str,
    /// Its short one, where it has one.
    key: &'static str,
    /// Its name in ECS; fields of the observer are the host's with `device => host`.
    ecs: &'static str,
    /// An older full name.
    also: &'static str,
    /// Whether it is written where two fields have one name in ECS.
    preferred: bool,
    /// Whether it is a time.
    time: bool,
}

const fn row(name: &'static str, key: &'static str, ecs: &'static str) -> Row {
    Row { name, key, ecs, also: "", preferred: false, time: false }
}

impl Row {
    const fn also(self, name: &'static str) -> Self {
        Self { also: name, ..self }
    }

    const fn preferred(self) -> Self {
        Self { preferred: true, ..self }
    }

    const fn time(self) -> Self {
        Self { time: true, ..self }
    }
}

/// A field of an event: its name, and the reference it is.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Text,
    /// Nothing for a name that is itself a key.
    pub(super) field: Option<FieldReference>,
}

/// The fields of one way of naming.
#[derive(Debug)]
pub(super) struct Mapping {
    /// By every key and name that may come.
    decode: HashMap<Text, Named>,
    /// The key to write, by every name a configuration may use.
    encode: HashMap<Text, Text>,
    /// The fields that are times, in their order.
    pub(super) times: Vec<Text>,
    /// The seven fields of the header, then that of what stands before it.
    pub(super) header: [FieldReference; 8],
}

/// The header without and with ECS.
const HEADER: [(&str, &str); 8] = [
    ("cefVersion", "[cef][version]"),
    ("deviceVendor", "[observer][vendor]"),
    ("deviceProduct", "[observer][product]"),
    ("deviceVersion", "[observer][version]"),
    ("deviceEventClassId", "[event][code]"),
    ("name", "[cef][name]"),
    ("severity", "[event][severity]"),
    ("syslog", "[log][syslog][header]"),
];

impl Mapping {
    /// `device_is_host`: the fields of the device are those of `[host]`. `short`: the short keys are written.
    pub(super) fn new(ecs: bool, device_is_host: bool, short: bool) -> Self {
        let mut mapping = Self {
            decode: HashMap::new(),
            encode: HashMap::new(),
            times: Vec::new(),
            header: HEADER.map(|(old, new)| reference(if ecs { new } else { old })),
        };
        let rows = ROWS.iter().filter(|row| !row.preferred).chain(ROWS.iter().filter(|row| row.preferred));
        for row in rows {
            let ecs_name = match (row.name, device_is_host) {
                ("deviceExternalId", true) => "[host][id]".to_owned(),
                ("deviceHostName", true) => "[host][name]".to_owned(),
                ("deviceAddress" | "deviceDnsDomain" | "deviceMacAddress", true) => {
                    row.ecs.replace("[observer]", "[host]")
                }
                _ => row.ecs.to_owned(),
            };
            mapping.add(ecs, short, *row, row.name, row.key, &ecs_name);
        }
        for (name, key, ecs_name) in NUMBERED {
            for number in 1..=15 {
                for (label, part) in [("", "value"), ("Label", "label")] {
                    mapping.add(
                        ecs,
                        short,
                        row(name, key, ecs_name),
                        &format!("{name}{number}{label}"),
                        &format!("{key}{number}{label}"),
                        &format!("[cef][{ecs_name}_{number}][{part}]"),
                    );
                }
            }
        }
        mapping
    }

    fn add(&mut self, ecs: bool, short: bool, row: Row, name: &str, key: &str, ecs_name: &str) {
        let key = if key.is_empty() { name } else { key };
        let own = |text: &str| Text::from(text.to_owned());
        let field = own(if ecs { ecs_name } else { name });
        let named = |name: &Text| Named { name: name.clone(), field: ecs.then(|| reference(name)) };
        for from in [key, name] {
            self.decode.insert(own(from), named(&field));
        }
        let target = own(if short { key } else { name });
        self.encode.insert(field.clone(), target.clone());
        self.encode.insert(own(name), target);
        if !row.also.is_empty() {
            let as_it_is = own(row.also);
            self.decode.insert(as_it_is.clone(), named(if ecs { &field } else { &as_it_is }));
            self.encode.insert(as_it_is, own(if short { key } else { row.also }));
        }
        if ecs && row.time {
            self.times.push(field);
        }
    }

    /// The field for a key that came.
    pub(super) fn field(&self, key: &str) -> Option<&Named> {
        self.decode.get(key)
    }

    /// The key to write for a field that a configuration names.
    pub(super) fn key<'k>(&'k self, name: &'k str) -> &'k str {
        self.encode.get(name).map_or(name, Text::as_str)
    }
}

/// For names of this file, which are valid.
fn reference(name: &str) -> FieldReference {
    FieldReference::parse(name).unwrap_or_else(|_| FieldReference::field(name.to_owned()))
}

/// Fields of which there are fifteen each, with a label: name, key, and name in ECS.
const NUMBERED: [(&str, &str, &str); 4] = [
    ("deviceCustomFloatingPoint", "cfp", "device_custom_floating_point"),
    ("deviceCustomIPv6Address", "c6a", "device_custom_ipv6_address"),
    ("deviceCustomNumber", "cn", "device_custom_number"),
    ("deviceCustomString", "cs", "device_custom_string"),
];

static ROWS: &[Row] = &[
    row("agentAddress", "agt", "[agent][ip]"),
    row("agentDnsDomain", "", "[cef][agent][registered_domain]").preferred(),
    row("agentHostName", "ahost", "[agent][name]"),
    row("agentId", "aid", "[agent][id]"),
    row("agentMacAddress", "amac", "[agent][mac]"),
    row("agentNtDomain", "", "[cef][agent][registered_domain]"),
    row("agentReceiptTime", "art", "[event][created]").time(),
    row("agentTimeZone", "atz", "[cef][agent][timezone]"),
    row("agentTranslatedAddress", "", "[cef][agent][nat][ip]"),
    row("agentTranslatedZoneExternalID", "", "[cef][agent][translated_zone][external_id]"),
    row("agentTranslatedZoneURI", "", "[cef][agent][translated_zone][uri]"),
    row("agentType", "at", "[agent][type]"),
    row("agentVersion", "av", "[agent][version]"),
    row("agentZoneExternalID", "", "[cef][agent][zone][external_id]"),
    row("agentZoneURI", "", "[cef][agent][zone][uri]"),
    row("applicationProtocol", "app", "[network][protocol]"),
    row("baseEventCount", "cnt", "[cef][base_event_count]"),
    row("bytesIn", "in", "[source][bytes]"),
    row("bytesOut", "out", "[destination][bytes]"),
    row("categoryDeviceType", "catdt", "[cef][device_type]"),
    row("customerExternalID", "", "[organization][id]"),
    row("customerURI", "", "[organization][name]"),
    row("destinationAddress", "dst", "[destination][ip]"),
    row("destinationDnsDomain", "", "[destination][registered_domain]").preferred(),
    row("destinationGeoLatitude", "dlat", "[destination][geo][location][lat]").also("destinationLatitude"),
    row("destinationGeoLongitude", "dlong", "[destination][geo][location][lon]").also("destinationLongitude"),
    row("destinationHostName", "dhost", "[destination][domain]"),
    row("destinationMacAddress", "dmac", "[destination][mac]"),
    row("destinationNtDomain", "dntdom", "[destination][registered_domain]"),
    row("destinationPort", "dpt", "[destination][port]"),
    row("destinationProcessId", "dpid", "[destination][process][pid]"),
    row("destinationProcessName", "dproc", "[destination][process][name]"),
    row("destinationServiceName", "", "[destination][service][name]"),
    row("destinationTranslatedAddress", "", "[destination][nat][ip]"),
    row("destinationTranslatedPort", "", "[destination][nat][port]"),
    row("destinationTranslatedZoneExternalID", "", "[cef][destination][translated_zone][external_id]"),
    row("destinationTranslatedZoneURI", "", "[cef][destination][translated_zone][uri]"),
    row("destinationUserId", "duid", "[destination][user][id]"),
    row("destinationUserName", "duser", "[destination][user][name]"),
    row("destinationUserPrivileges", "dpriv", "[destination][user][group][name]"),
    row("destinationZoneExternalID", "", "[cef][destination][zone][external_id]"),
    row("destinationZoneURI", "", "[cef][destination][zone][uri]"),
    row("deviceAction", "act", "[event][action]"),
    row("deviceAddress", "dvc", "[observer][ip]"),
    row("deviceDirection", "", "[network][direction]"),
    row("deviceDnsDomain", "", "[observer][registered_domain]").preferred(),
    row("deviceEventCategory", "cat", "[cef][category]"),
    row("deviceExternalId", "", "[observer][name]"),
    row("deviceFacility", "", "[log][syslog][facility][code]"),
    row("deviceHostName", "dvchost", "[observer][hostname]"),
    row("deviceInboundInterface", "", "[observer][ingress][interface][name]"),
    row("deviceMacAddress", "dvcmac", "[observer][mac]"),
    row("deviceNtDomain", "", "[cef][nt_domain]"),
    row("deviceOutboundInterface", "", "[observer][egress][interface][name]"),
    row("devicePayloadId", "", "[cef][payload_id]"),
    row("deviceProcessId", "dvcpid", "[process][pid]"),
    row("deviceProcessName", "", "[process][name]"),
    row("deviceReceiptTime", "rt", "@timestamp").time(),
    row("deviceTimeZone", "dtz", "[event][timezone]").also("destinationTimeZone"),
    row("deviceTranslatedAddress", "", "[host][nat][ip]"),
    row("deviceTranslatedZoneExternalID", "", "[cef][translated_zone][external_id]"),
    row("deviceTranslatedZoneURI", "", "[cef][translated_zone][uri]"),
    row("deviceVersion", "", "[observer][version]"),
    row("deviceZoneExternalID", "", "[cef][zone][external_id]"),
    row("deviceZoneURI", "", "[cef][zone][uri]"),
    row("endTime", "end", "[event][end]").time(),
    row("eventId", "", "[event][id]"),
    row("eventOutcome", "outcome", "[event][outcome]"),
    row("externalId", "", "[cef][external_id]"),
    row("fileCreateTime", "", "[file][created]"),
    row("fileHash", "", "[file][hash]"),
    row("fileId", "", "[file][inode]"),
    row("fileModificationTime", "", "[file][mtime]").time(),
    row("fileName", "fname", "[file][name]"),
    row("filePath", "", "[file][path]"),
    row("filePermission", "", "[file][group]"),
    row("fileSize", "fsize", "[file][size]"),
    row("fileType", "", "[file][extension]"),
    row("managerReceiptTime", "mrt", "[event][ingested]").time(),
    row("message", "msg", "[message]"),
    row("oldFileCreateTime", "", "[cef][old_file][created]").time(),
    row("oldFileHash", "", "[cef][old_file][hash]"),
    row("oldFileId", "", "[cef][old_file][inode]"),
    row("oldFileModificationTime", "", "[cef][old_file][mtime]").time(),
    row("oldFileName", "", "[cef][old_file][name]"),
    row("oldFilePath", "", "[cef][old_file][path]"),
    row("oldFilePermission", "", "[cef][old_file][group]"),
    row("oldFileSize", "", "[cef][old_file][size]"),
    row("oldFileType", "", "[cef][old_file][extension]"),
    row("rawEvent", "", "[event][original]"),
    row("Reason", "reason", "[event][reason]"),
    row("requestClientApplication", "", "[user_agent][original]"),
    row("requestContext", "", "[http][request][referrer]"),
    row("requestCookies", "", "[cef][request][cookies]"),
    row("requestMethod", "", "[http][request][method]"),
    row("requestUrl", "request", "[url][original]"),
    row("sourceAddress", "src", "[source][ip]"),
    row("sourceDnsDomain", "", "[source][registered_domain]").preferred(),
    row("sourceGeoLatitude", "slat", "[source][geo][location][lat]").also("sourceLatitude"),
    row("sourceGeoLongitude", "slong", "[source][geo][location][lon]").also("sourceLongitude"),
    row("sourceHostName", "shost", "[source][domain]"),
    row("sourceMacAddress", "smac", "[source][mac]"),
    row("sourceNtDomain", "sntdom", "[source][registered_domain]"),
    row("sourcePort", "spt", "[source][port]"),
    row("sourceProcessId", "spid", "[source][process][pid]"),
    row("sourceProcessName", "sproc", "[source][process][name]"),
    row("sourceServiceName", "", "[source][service][name]"),
    row("sourceTranslatedAddress", "", "[source][nat][ip]"),
    row("sourceTranslatedPort", "", "[source][nat][port]"),
    row("sourceTranslatedZoneExternalID", "", "[cef][source][translated_zone][external_id]"),
    row("sourceTranslatedZoneURI", "", "[cef][source][translated_zone][uri]"),
    row("sourceUserId", "suid", "[source][user][id]"),
    row("sourceUserName", "suser", "[source][user][name]"),
    row("sourceUserPrivileges", "spriv", "[source][user][group][name]"),
    row("sourceZoneExternalID", "", "[cef][source][zone][external_id]"),
    row("sourceZoneURI", "", "[cef][source][zone][uri]"),
    row("startTime", "start", "[event][start]").time(),
    row("transportProtocol", "proto", "[network][transport]"),
    row("type", "", "[cef][type]"),
];
