//! Packets put together here, and two that another implementation encrypted and signed.

use std::io::Write;

use super::packet::part;
use super::*;
use crate::testing::NOW;
use crate::testing::codec::{codec, decoded, refused};
use proptest::prelude::*;

fn part(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 4).expect("is short");
    [&kind.to_be_bytes(), &length.to_be_bytes(), content].concat()
}

fn string(kind: u16, text: &str) -> Vec<u8> {
    part(kind, format!("{text}\0").as_bytes())
}

fn number(kind: u16, number: u64) -> Vec<u8> {
    part(kind, &number.to_be_bytes())
}

fn values(values: &[(u8, [u8; 8])]) -> Vec<u8> {
    let count = u16::try_from(values.len()).expect("is short").to_be_bytes();
    let kinds: Vec<u8> = values.iter().map(|(kind, _)| *kind).collect();
    let numbers: Vec<u8> = values.iter().flat_map(|(_, bytes)| *bytes).collect();
    part(part::VALUES, &[&count[..], &kinds, &numbers].concat())
}

fn gauge(number: f64) -> (u8, [u8; 8]) {
    (1, number.to_le_bytes())
}

fn derive(number: i64) -> (u8, [u8; 8]) {
    (2, number.to_be_bytes())
}

/// The load of a host, and what it has on disk.
fn packet() -> Vec<u8> {
    [
        string(part::HOST, "h.example"),
        number(part::TIME_HIGH, (1_700_000_000 << 30) + (1 << 29)),
        number(part::INTERVAL_HIGH, 10 << 30),
        string(part::PLUGIN, "load"),
        string(part::TYPE, "load"),
        values(&[gauge(0.5), gauge(0.25), gauge(1.0)]),
        string(part::PLUGIN, "df"),
        string(part::PLUGIN_INSTANCE, "root"),
        string(part::TYPE, "df_complex"),
        string(part::TYPE_INSTANCE, "free"),
        values(&[gauge(1024.0)]),
        string(part::TYPE_INSTANCE, ""),
        values(&[derive(-7)]),
    ]
    .concat()
}

const EVENTS: [&str; 3] = [
    r#"{"host":"h.example","plugin":"load","collectd_type":"load","shortterm":0.5,"midterm":0.25,"longterm":1.0}"#,
    r#"{"host":"h.example","plugin":"df","plugin_instance":"root","collectd_type":"df_complex","type_instance":"free","value":1024.0}"#,
    r#"{"host":"h.example","plugin":"df","plugin_instance":"root","collectd_type":"df_complex","value":-7}"#,
];

#[test]
fn each_list_of_values_is_an_event_with_all_that_was_said_before_it() {
    assert_eq!(decoded(&mut *codec(&COLLECTD, "{}"), &[packet()]), EVENTS);
}

#[test]
fn times_are_seconds_or_fractions_of_them() {
    let times = [
        number(part::TIME, 1_700_000_000),
        values(&[derive(1)]),
        number(part::TIME_HIGH, (1_700_000_000 << 30) + (1 << 29)),
        values(&[derive(1)]),
    ];
    let mut seen = Vec::new();
    let mut codec = codec(&COLLECTD, "{}");
    codec.decode(Blob::from(&times.concat()[..]), NOW, &mut |event| seen.push(event.timestamp()));
    let at = |nanos| Some(Timestamp::new(1_700_000_000, nanos));
    assert_eq!(seen, [at(0), at(500_000_000)]);
}

#[test]
fn a_notification_is_an_event_and_its_severity_belongs_to_it_alone() {
    let packet = [
        string(part::HOST, "h"),
        number(part::SEVERITY, 2),
        string(part::PLUGIN, "load"),
        string(part::TYPE, "load"),
        string(part::MESSAGE, "is high"),
        values(&[(0, u64::MAX.to_be_bytes())]),
    ];
    assert_eq!(
        decoded(&mut *codec(&COLLECTD, "{}"), &[packet.concat()]),
        [
            r#"{"host":"h","plugin":"load","collectd_type":"load","severity":2,"message":"is high"}"#,
            r#"{"host":"h","plugin":"load","collectd_type":"load","value":18446744073709551615}"#,
        ]
    );
}

#[test]
fn intervals_are_events_when_they_are_wanted() {
    let packet = [string(part::HOST, "h"), number(part::INTERVAL, 60), number(part::INTERVAL_HIGH, 10 << 30)];
    let mut pruned = codec(&COLLECTD, "{}");
    assert_eq!(decoded(&mut *pruned, &[packet.concat()]), [""; 0]);
    let mut kept = codec(&COLLECTD, r#"{"prune_intervals": false}"#);
    let events = [r#"{"host":"h","interval":60}"#, r#"{"host":"h","interval":10}"#];
    assert_eq!(decoded(&mut *kept, &[packet.concat()]), events);
}

#[test]
fn what_is_no_number_is_replaced_or_dropped_alone() {
    let packet = [string(part::TYPE, "ping"), values(&[gauge(f64::NAN)]), values(&[gauge(2.0)])].concat();
    let with = |settings| decoded(&mut *codec(&COLLECTD, settings), &[&packet]);
    let second = r#"{"collectd_type":"ping","value":2.0}"#;
    let replaced = r#"{"collectd_type":"ping","value":0,"tags":["_collectdNaN"]}"#;
    assert_eq!(with("{}"), [replaced, second]);
    assert_eq!(with(r#"{"nan_handling": "warn"}"#), [replaced, second]);
    let other = with(r#"{"nan_value": -1.5, "nan_tag": ""}"#);
    assert_eq!(other, [r#"{"collectd_type":"ping","value":-1.5}"#, second]);
    assert_eq!(with(r#"{"nan_handling": "drop"}"#), [second]);
}

#[test]
fn names_of_values_come_from_the_file_and_values_without_a_name_are_kept() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"# comment\nload  one:GAUGE:0:U, two:GAUGE:0:U\nmine a:GAUGE:U:U,b:DERIVE:0:U\n")
        .expect("writes");
    let settings = format!(r#"{{"typesdb": ["{}"]}}"#, file.path().display());
    let packet = |kind: &str| [string(part::TYPE, kind), values(&[derive(1), derive(2)])].concat();
    let packets = ["load", "mine", "if_octets", "unknown"].map(packet);
    assert_eq!(
        decoded(&mut *codec(&COLLECTD, &settings), &packets),
        [
            r#"{"collectd_type":"load","one":1,"two":2}"#,
            r#"{"collectd_type":"mine","a":1,"b":2}"#,
            r#"{"collectd_type":"if_octets","rx":1,"tx":2}"#,
            r#"{"collectd_type":"unknown","values":[1,2]}"#,
        ]
    );
    assert!(refused(&COLLECTD, r#"{"typesdb": ["/no/such/types.db"]}"#).contains("/no/such/types.db"));
}

#[test]
fn a_target_holds_everything() {
    let events = decoded(&mut *codec(&COLLECTD, r#"{"target": "[c]"}"#), &[packet()]);
    assert!(events[1].starts_with(r#"{"c":{"host":"h.example","plugin":"df""#), "{}", events[1]);
    assert!(events[1].contains(r#""@timestamp":"2023-11-14T22:13:20.500Z""#), "{}", events[1]);
}

#[test]
fn a_packet_that_breaks_off_gives_what_came_before() {
    let whole = packet();
    let cut = &whole[..whole.len() - 1];
    assert_eq!(decoded(&mut *codec(&COLLECTD, "{}"), &[cut]), EVENTS[..2]);
    // A part that says it is shorter than its own header must not be read for ever.
    assert_eq!(decoded(&mut *codec(&COLLECTD, "{}"), &[[0, 0, 0, 0]]), [""; 0]);
    // What nobody knows is passed over.
    let unknown = [part(77, b"x"), packet()].concat();
    assert_eq!(decoded(&mut *codec(&COLLECTD, "{}"), &[unknown]), EVENTS);
}

fn secured(level: &str, file: &tempfile::NamedTempFile) -> Box<dyn Codec> {
    let path = file.path().display();
    codec(&COLLECTD, &format!(r#"{{"security_level": "{level}", "authfile": "{path}"}}"#))
}

fn authfile(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("writes");
    file
}

/// `number(part::TIME, 1)`, then a value of 5, signed for user `ann` with the password `secret`, by OpenSSL.
fn signed() -> Vec<u8> {
    hex::decode(SIGNED).expect("hex digits")
}

/// The same parts, encrypted for `ann` by OpenSSL.
fn encrypted() -> Vec<u8> {
    hex::decode(ENCRYPTED).expect("hex digits")
}

#[test]
fn what_is_neither_signed_nor_encrypted_is_not_used_where_that_is_asked() {
    let file = authfile("bob: other\nann: secret\n");
    let event = [r#"{"value":5}"#];
    let plain = [number(part::TIME, 1), values(&[derive(5)])].concat();
    for (level, packet, taken) in [
        ("None", plain.clone(), true),
        ("None", signed(), true),
        ("None", encrypted(), true),
        ("Sign", plain.clone(), false),
        ("Sign", signed(), true),
        ("Sign", encrypted(), true),
        ("Encrypt", plain, false),
        ("Encrypt", signed(), false),
        ("Encrypt", encrypted(), true),
    ] {
        let events = decoded(&mut *secured(level, &file), &[packet]);
        assert_eq!(events, if taken { &event[..] } else { &[] }, "{level}");
    }
}

#[test]
fn wrong_passwords_and_changed_bytes_are_refused() {
    for (content, wanted) in [("ann: other\n", 0), ("bob: secret\n", 0), ("ann: secret\n", 1)] {
        let file = authfile(content);
        for packet in [signed(), encrypted()] {
            assert_eq!(decoded(&mut *secured("Sign", &file), &[packet]).len(), wanted, "{content}");
        }
    }
    let file = authfile("ann: secret\n");
    for mut packet in [signed(), encrypted()] {
        *packet.last_mut().expect("is not empty") ^= 1;
        assert_eq!(decoded(&mut *secured("Sign", &file), &[packet]), [""; 0]);
    }
    assert!(refused(&COLLECTD, r#"{"security_level": "Sign"}"#).contains("authfile"));
}

#[test]
fn a_changed_authfile_is_read_again() {
    let file = authfile("ann: other\n");
    let mut codec = secured("Sign", &file);
    assert_eq!(decoded(&mut *codec, &[signed()]), [""; 0]);
    std::fs::write(file.path(), "ann: secret\n").expect("writes");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    file.as_file().set_modified(later).expect("sets the time");
    assert_eq!(decoded(&mut *codec, &[signed()]), [r#"{"value":5}"#]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let file = authfile("ann: secret\n");
        decoded(&mut *secured("None", &file), &[&bytes]);
    }

    #[test]
    fn no_change_of_a_packet_makes_it_panic(at in 0..200_usize, byte: u8) {
        for mut packet in [packet(), signed(), encrypted()] {
            let at = at % packet.len();
            packet[at] = byte;
            let file = authfile("ann: secret\n");
            decoded(&mut *secured("None", &file), &[&packet]);
        }
    }
}

const SIGNED: &str = "02000027fc58f128a4737aa35cfab4a9ca2c9cac04b846bc1cca74f5f02c3237343485d6616e6e0001000c00000000000000010006000f0001020000000000000005";
const ENCRYPTED: &str = "021000480003616e6e000102030405060708090a0b0c0d0e0f12644c869e8fc18ebdeff95efcc62b5f0495ff6e805bc93f6b073757f97e87269008e3c2accfe80af2e98ba7407caf";
