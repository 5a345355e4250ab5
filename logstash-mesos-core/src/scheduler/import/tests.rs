//! Nodes as the versions of the predecessor wrote them.

use super::java::{self, Java, JavaError};
use super::nodes::{Entry, FrameworkId, LogstashConfig, NodeError, SchedulerMessage};
use super::*;
use crate::configs::Kind;
use proptest::prelude::*;
use prost::Message;
use std::path::Path;
use std::process::Command;

fn entry(value: Vec<u8>) -> Vec<u8> {
    Entry { name: "x".to_owned(), uuid: vec![1; 16], value }.encode_to_vec()
}

fn id(text: &str) -> Vec<u8> {
    FrameworkId { value: text.to_owned() }.encode_to_vec()
}

fn configurations() -> Vec<u8> {
    let config = |name: &str, text: &str, r#type| LogstashConfig {
        framework_name: name.to_owned(),
        config: text.to_owned(),
        r#type,
    };
    let configs = vec![
        config("busybox:latest", "input { file { docker-path => \"/log\" } }", 1),
        config("ui", "output { stdout { } }", 2),
    ];
    SchedulerMessage { r#type: 2, configs }.encode_to_vec()
}

fn node(name: &str, path: &str) -> Node {
    nodes(name).into_iter().find(|node| node.path == path).expect("is one of them")
}

#[test]
fn the_messages_of_0_0_2_are_read() {
    let node = node("f", "/logstash-mesos/f/latestConfig");
    let Ok(Some(Content::Configurations(found))) = node.read(&entry(configurations())) else {
        panic!("it is readable")
    };
    let found: Vec<_> = found.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(found, [("busybox:latest", Kind::Docker), ("ui", Kind::Host)]);
    let node = super::tests::node("f", "/logstash-mesos/f/frameworkId");
    assert_eq!(node.read(&entry(id("20150813-1"))), Ok(Some(Content::FrameworkId("20150813-1".to_owned()))));
    assert_eq!(node.read(&entry(vec![])), Ok(None));
    assert!(matches!(node.read(b"not an entry"), Err(NodeError::NoEntry(_))));
    assert!(matches!(node.read(&entry(vec![0xff])), Err(NodeError::NoMessage(_))));
}

/// Has Java itself write what the predecessor had it write. The class of Protocol Buffers has these fields and
/// this version in all of 2.x.
fn written_by_java(directory: &Path) -> impl Fn(&str) -> Vec<u8> {
    let sources = directory.join("com/google/protobuf");
    std::fs::create_dir_all(&sources).expect("the directory is new");
    let message = "package com.google.protobuf;
        public class GeneratedMessageLite {
            public static class SerializedForm implements java.io.Serializable {
                private static final long serialVersionUID = 0L;
                private String messageClassName;
                private byte[] asBytes;
                public SerializedForm(String name, String hex) {
                    messageClassName = name;
                    asBytes = new java.math.BigInteger(\"00\" + hex, 16).toByteArray();
                    int length = hex.length() / 2;
                    byte[] exact = new byte[length];
                    System.arraycopy(asBytes, asBytes.length - Math.min(length, asBytes.length), exact,
                        length - Math.min(length, asBytes.length), Math.min(length, asBytes.length));
                    asBytes = exact;
                }
            }
        }";
    std::fs::write(sources.join("GeneratedMessageLite.java"), message).expect("writes");
    let main = format!(
        "import com.google.protobuf.GeneratedMessageLite.SerializedForm;
        public class Main {{
            static void write(String file, Object object) throws Exception {{
                try (var out = new java.io.ObjectOutputStream(new java.io.FileOutputStream(file))) {{
                    out.writeObject(object);
                }}
            }}
            public static void main(String[] args) throws Exception {{
                var id = new SerializedForm(\"org.apache.mesos.Protos$FrameworkID\", \"{}\");
                write(\"id\", id);
                write(\"configs\", new SerializedForm(\"LogstashProtos$SchedulerMessage\", \"{}\"));
                var task = new SerializedForm(\"org.apache.mesos.Protos$TaskInfo\", \"0a01\");
                write(\"list\", new java.util.ArrayList<Object>(java.util.List.of(id, task, id)));
                write(\"set\", new java.util.HashSet<Object>(java.util.List.of(id, task)));
                write(\"null\", null);
                write(\"string\", \"text\");
                write(\"other\", new Object[] {{ new java.util.Date(), Thread.State.NEW, new int[] {{ 1 }} }});
            }}
        }}",
        hex::encode(id("20151117-7")),
        hex::encode(configurations())
    );
    std::fs::write(directory.join("Main.java"), main).expect("writes");
    for arguments in [&["javac", "-cp", ".", "Main.java"][..], &["java", "-cp", ".", "Main"]] {
        let done = Command::new(arguments[0]).args(&arguments[1..]).current_dir(directory).output();
        let done = done.expect("Java is installed: run tests/setup");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let directory = directory.to_owned();
    move |name| std::fs::read(directory.join(name)).expect("Java wrote it")
}

#[test]
fn what_java_wrote_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let written = written_by_java(directory.path());
    let read = |path: &str, file: &str| node("f", path).read(&entry(written(file)));
    let framework = Ok(Some(Content::FrameworkId("20151117-7".to_owned())));
    assert_eq!(read("/f/frameworkId", "id"), framework);
    assert_eq!(read("/f/frameworkid", "id"), framework);
    let Ok(Some(Content::Configurations(found))) = read("/f/latestConfig", "configs") else {
        panic!("it is readable")
    };
    assert_eq!(found.len(), 2);
    assert_eq!(read("/f/tasks", "set"), Ok(Some(Content::Tasks(2))));
    assert_eq!(tasks_node("f", "i").read(&entry(written("list"))), Ok(Some(Content::Tasks(3))));
    assert_eq!(read("/f/frameworkId", "null"), Ok(None));
    assert_eq!(read("/f/frameworkId", "string"), Err(NodeError::OtherClass));
    assert_eq!(read("/f/frameworkId", "other"), Err(NodeError::OtherClass));
    let whole = written("list");
    for end in 0..whole.len() {
        assert!(java::parse(&whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        for byte in [0, 0x70, 0x71, 0x73, 0x75, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            // Whatever it says: it ends, and without a panic.
            let _ = java::parse(&changed);
        }
    }
}

#[test]
fn a_stream_within_itself_is_refused() {
    assert_eq!(java::parse(b"x"), Err(JavaError::NoStream));
    assert_eq!(java::parse(b"\xac\xed\x00\x05\x70"), Ok(Java::Null));
    // An array of arrays of arrays, each with a class of its own.
    let mut deep = b"\xac\xed\x00\x05".to_vec();
    for _ in 0..1000 {
        deep.extend_from_slice(b"\x75\x72\x00\x02[[\0\0\0\0\0\0\0\0\x02\0\0\x78\x70\0\0\0\x01");
    }
    assert_eq!(java::parse(&deep), Err(JavaError::Depth));
}

fn read(path: &str, written_ms: i64, content: Content) -> Read {
    Read { node: node("f", path), written_ms, content: Ok(Some(content)) }
}

#[test]
fn what_was_written_last_counts() {
    let taken = decide(vec![
        read("/logstash-mesos/f/frameworkId", 1, Content::FrameworkId("old".to_owned())),
        read("/f/frameworkid", 3, Content::FrameworkId("new".to_owned())),
        read("/f/tasks", 3, Content::Tasks(4)),
        Read { node: node("f", "/f/latestConfig"), written_ms: 2, content: Err("it is broken".to_owned()) },
    ]);
    assert_eq!(taken.framework_id.as_deref(), Some("new"));
    assert_eq!(taken.configurations, []);
    assert_eq!((taken.notes.len(), taken.left.len()), (2, 2), "{taken:?}");
    assert!(taken.left[0].contains("/f/latestConfig") && taken.left[0].contains("it is broken"), "{taken:?}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for node in nodes("f") {
            let _ = node.read(&bytes);
            let _ = node.read(&entry(bytes.clone()));
        }
        let _ = java::parse(&[b"\xac\xed\x00\x05", &bytes[..]].concat());
    }

    #[test]
    fn no_sequence_of_types_makes_it_panic(types in proptest::collection::vec(0x70..0x7f_u8, 0..200)) {
        let _ = java::parse(&[b"\xac\xed\x00\x05", &types[..]].concat());
    }
}
