//! A writer of MaxMind databases, after <https://maxmind.github.io/MaxMind-DB/>.

use std::net::IpAddr;

use tempfile::NamedTempFile;

use crate::event::{Text, Value, read_json};

/// A database for IPv6 and, below `::/96`, IPv4, with records of 24 bits.
pub(super) struct Mmdb {
    kind: &'static str,
    nodes: Vec<[Slot; 2]>,
    data: Vec<u8>,
    file: Option<NamedTempFile>,
}

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Node(usize),
    Data(usize),
}

impl Mmdb {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, nodes: vec![[Slot::Empty; 2]], data: Vec::new(), file: None }
    }

    /// Adds a record, written as JSON, for a network that overlaps with none before it.
    pub(super) fn with(mut self, network: &str, record: &str) -> Self {
        let (address, prefix) = network.split_once('/').expect("the test writes a network");
        let prefix: usize = prefix.parse().expect("the test writes a prefix");
        let (bits, prefix) = match address.parse().expect("the test writes an address") {
            IpAddr::V4(address) => (u128::from(address.to_bits()), prefix + 96),
            IpAddr::V6(address) => (address.to_bits(), prefix),
        };
        let at = self.data.len();
        write(&read_json(&Text::from(record)).expect("the test writes JSON"), &mut self.data);
        let mut node = 0;
        for depth in 0..prefix {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == prefix {
                self.nodes[node][side] = Slot::Data(at);
            } else if let Slot::Node(next) = self.nodes[node][side] {
                node = next;
            } else {
                self.nodes.push([Slot::Empty; 2]);
                let next = self.nodes.len() - 1;
                self.nodes[node][side] = Slot::Node(next);
                node = next;
            }
        }
        self
    }

    /// Writes the file, which is there as long as this is.
    pub(super) fn write(mut self) -> Self {
        let count = self.nodes.len();
        let mut out = Vec::new();
        for slot in self.nodes.iter().flatten() {
            let number = match *slot {
                Slot::Empty => count,
                Slot::Node(node) => node,
                Slot::Data(at) => count + 16 + at,
            };
            out.extend_from_slice(&u32::try_from(number).expect("a small database").to_be_bytes()[1..]);
        }
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        control(7, 9, &mut out);
        let mut about = |name: &str, (kind, number): (u8, u64)| {
            text(name, &mut out);
            integer(kind, number, &mut out);
        };
        about("binary_format_major_version", (U16, 2));
        about("binary_format_minor_version", (U16, 0));
        about("build_epoch", (U64, 1_700_000_000));
        about("ip_version", (U16, 6));
        about("node_count", (U32, count as u64));
        about("record_size", (U16, 24));
        for (name, value) in [("description", r#"{"en":"a test"}"#), ("languages", r#"["en"]"#)] {
            text(name, &mut out);
            write(&read_json(&Text::from(value)).expect("this is JSON"), &mut out);
        }
        text("database_type", &mut out);
        text(self.kind, &mut out);
        let file = NamedTempFile::new().expect("a file can be made");
        std::fs::write(file.path(), out).expect("the file can be written");
        self.file = Some(file);
        self
    }

    pub(super) fn path(&self) -> String {
        self.file.as_ref().expect("it is written").path().display().to_string()
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(value) => text(value, out),
        Value::Float(number) => {
            control(3, 8, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Decimal(number) => {
            let number: f64 = number.to_string().parse().expect("a number");
            write(&Value::Float(number), out);
        }
        // As MaxMind does: numbers of systems have 32 bits, codes 16.
        Value::Int(number) => match u16::try_from(*number) {
            Ok(number) => integer(U16, number.into(), out),
            Err(_) => integer(U32, u64::try_from(*number).expect("no negative number"), out),
        },
        Value::Map(map) => {
            control(7, map.len(), out);
            for (key, value) in map.iter() {
                text(key, out);
                write(value, out);
            }
        }
        Value::List(items) => {
            control(11, items.len(), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Bool(flag) => control(14, usize::from(*flag), out),
        other => panic!("no value of a database: {other:?}"),
    }
}

const U16: u8 = 5;
const U32: u8 = 6;
const U64: u8 = 9;

fn text(text: &str, out: &mut Vec<u8>) {
    control(2, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Leading zeros are left out.
fn integer(kind: u8, number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let bytes = &bytes[usize::try_from(number.leading_zeros() / 8).expect("at most 8")..];
    control(kind, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The byte with type and size; types from 8 on have a second one.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, more) = match size {
        0..29 => (size, None),
        _ => (29, Some(size - 29)),
    };
    let short = u8::try_from(short).expect("below 30");
    if kind < 8 {
        out.push(kind << 5 | short);
    } else {
        out.extend([short, kind - 7]);
    }
    if let Some(more) = more {
        out.push(u8::try_from(more).expect("sizes in tests are below 285"));
    }
}
