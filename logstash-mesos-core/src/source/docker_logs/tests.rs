//! What the daemon sends, taken apart.

use bytes::Bytes;

use super::*;

fn taken_apart(message: impl Into<Bytes>) -> Vec<Record> {
    records(LogOutput::Console { message: message.into() }, false, |bytes| {
        panic!("{bytes} bytes without a time")
    })
}

fn record(time: i64, content: &str) -> Record {
    Record { channel: 'o', time, content: content.as_bytes().to_vec(), whole: true }
}

#[test]
fn messages_are_taken_apart() {
    let message = "2026-11-23T02:00:00.000000001Z hello world\n";
    assert_eq!(taken_apart(message), [record(1_795_399_200_000_000_001, "hello world")]);
    let long = "x".repeat(SPLIT_AT);
    let split = format!("2026-11-23T02:00:00.000000001Z {long}2026-11-23T02:00:00.000000002Z end\r\n");
    let found = taken_apart(split);
    assert_eq!(found.len(), 2);
    assert!(!found[0].whole && found[1].whole);
    // A terminal's carriage return is the decoder's business, as with the daemon's file.
    assert_eq!(found[1].content, b"end\r");
    // The next line of a terminal, behind a split one whose end is not there.
    let found = taken_apart(format!(
        "2026-11-23T02:00:00Z {long}2026-11-23T02:00:00Z end\r2026-11-23T02:00:00Z a\rb\r\n"
    ));
    let seen: Vec<_> = found.iter().map(|record| (record.content.len(), record.whole)).collect();
    assert_eq!(seen, [(SPLIT_AT, false), (4, true), (4, true)]);
    let part = taken_apart(format!("2026-11-23T02:00:00.000000001Z {long}"));
    assert!(!part[0].whole);
    let last = taken_apart("2026-11-23T02:00:00Z bye");
    assert!(last[0].whole);
    let empty = taken_apart("2026-11-23T02:00:00Z \n");
    assert_eq!(empty, [record(1_795_399_200_000_000_000, "")]);
}
