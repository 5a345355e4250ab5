// logstash-codec-cef/spec/codecs/cef_spec.rb, and answers recorded from Logstash 9.5.2.

use super::*;
use crate::event::Timestamp;
use crate::plugin::EcsCompatibility;
use crate::testing::codec::{codec, codec_with, decoded, refused};
use crate::testing::json_event;

const HEADER: &str = "CEF:0|security|threatmanager|1.0|100|trojan successfully stopped|10|";

/// The fields of the header above.
const ECS_HEADER: &str = concat!(
    r#""observer":{"vendor":"security","product":"threatmanager","version":"1.0"},"event":{"code":"100","severity":"10"},"#,
    r#""cef":{"name":"trojan successfully stopped","version":"0"}"#
);
const OLD_HEADER: &str = concat!(
    r#""deviceVendor":"security","deviceProduct":"threatmanager","deviceVersion":"1.0","deviceEventClassId":"100","#,
    r#""name":"trojan successfully stopped","severity":"10","cefVersion":"0""#
);

/// What there is beside the header when these extensions come.
fn extensions(settings: &str, ecs: EcsCompatibility, extensions: &str) -> String {
    let mut codec = codec_with(&CEF, settings, ecs);
    let events = decoded(&mut *codec, &[format!("{HEADER}{extensions}")]);
    assert_eq!(events.len(), 1);
    let header = ecs.select(OLD_HEADER, ECS_HEADER);
    events[0].replacen(header, "", 1).replacen("{,", "{", 1)
}

fn old(text: &str) -> String {
    extensions("{}", EcsCompatibility::Disabled, text)
}

fn ecs(text: &str) -> String {
    extensions("{}", EcsCompatibility::V8, text)
}

fn failure(text: &str) -> String {
    format!(r#"{{"message":{text:?},"tags":["_cefparsefailure"]}}"#)
}

#[test]
fn header_and_extensions() {
    let text = "src=10.0.0.192 dst=12.121.122.82  spt=1232 ";
    assert_eq!(
        old(text),
        r#"{"sourceAddress":"10.0.0.192","destinationAddress":"12.121.122.82","sourcePort":"1232"}"#
    );
    assert_eq!(
        ecs(text),
        r#"{"source":{"ip":"10.0.0.192","port":"1232"},"destination":{"ip":"12.121.122.82"}}"#
    );
    assert_eq!(old(""), "{}");
    assert_eq!(
        ecs("cfp15=3.1415926 cfp15Label=pi c6a12=::1 cn7=8191 cs4=silly cs4Label=theory"),
        concat!(
            r#"{"cef":{"name":"trojan successfully stopped","version":"0","device_custom_floating_point_15":{"#,
            r#""value":"3.1415926","label":"pi"},"device_custom_ipv6_address_12":{"value":"::1"},"#,
            r#""device_custom_number_7":{"value":"8191"},"device_custom_string_4":{"value":"silly","label":"theory"}}}"#
        )
        .replacen(r#"{"cef""#, r#"{"observer":{"vendor":"security","product":"threatmanager","version":"1.0"},"event":{"code":"100","severity":"10"},"cef""#, 1)
    );
    assert_eq!(
        old("cs1= cs1Label=Foo Bar"),
        r#"{"deviceCustomString1":"","deviceCustomString1Label":"Foo Bar"}"#
    );
    let aliases = "destinationLongitude=-73.61 sourceLatitude=9.1";
    assert_eq!(old(aliases), r#"{"destinationLongitude":"-73.61","sourceLatitude":"9.1"}"#);
    assert_eq!(
        ecs(aliases),
        r#"{"destination":{"geo":{"location":{"lon":"-73.61"}}},"source":{"geo":{"location":{"lat":"9.1"}}}}"#
    );
}

#[test]
fn headers_with_escapes_and_before_them() {
    let header = |text: &str| {
        let events = decoded(&mut *codec(&CEF, "{}"), &[text]);
        let mut parts = Vec::new();
        for name in ["syslog", "cefVersion", "deviceVendor", "deviceProduct", "severity"] {
            if let Some((_, rest)) = events[0].split_once(&format!("\"{name}\":\"")) {
                parts.push(
                    rest.split_once("\",\"").unwrap_or_else(|| rest.split_once("\"}").unwrap()).0.to_owned(),
                );
            }
        }
        parts.join(" / ")
    };
    for (text, parts) in [
        (r"CEF:0|secu\\rity|threat\\manager|1|2|3|\\10|", r"0 / secu\\rity / threat\\manager / \\10"),
        (r"CEF:0|secu\|rity|threatmanager\||1|2|3|\|10|", "0 / secu|rity / threatmanager| / |10"),
        (r"CEF:0|security\\\||threatmanager\\|1|2|3|10|", r"0 / security\\| / threatmanager\\ / 10"),
        (r"CEF:0||a=b|1|2|3|x\\\\|", r"0 /  / a=b / x\\\\"),
        ("a b CEF:0|c|d|1|2|3|4|", "a b / 0 / c / d / 4"),
        ("<134>Jan  1 CEF:0|c|d|1|2|3|4|", "<134>Jan  1 / 0 / c / d / 4"),
        (" CEF:0|c|d|1|2|3|4|", " / 0 / c / d / 4"),
        ("CEF:0 |c|d|1|2|3|4|", "CEF:0 /  / c / d / 4"),
        ("a|c|d|1|2|3|4|", "a / c / d / 4"),
    ] {
        assert_eq!(header(text), parts, "{text}");
    }
}

#[test]
fn values_and_keys_of_extensions() {
    for (text, fields) in [
        (r"moo=this\|has an escaped pipe", r#"{"moo":"this\\|has an escaped pipe"}"#),
        ("moo=this|has an pipe", r#"{"moo":"this|has an pipe"}"#),
        (r"moo=this =has = equals\=", r#"{"moo":"this =has = equals="}"#),
        (r"moo=this \has \ backslashs\", r#"{"moo":"this \\has \\ backslashs\\"}"#),
        (r"a=\n\r\\\=\x b=c", r#"{"a":"\n\r\\=\\x","b":"c"}"#),
        ("dproc=InternetExplorer x.x.x.x", r#"{"destinationProcessName":"InternetExplorer x.x.x.x"}"#),
        (
            r"go=start now query_string=key1\=value1&key2\=value3 aa.bc&key3\=value4 final=done",
            r#"{"go":"start now","query_string":"key1=value1&key2=value3 aa.bc&key3=value4","final":"done"}"#,
        ),
        (
            "requestClientApplication='Foo-Bar/2018.1.7; Guid:test=' cs1=",
            r#"{"requestClientApplication":"'Foo-Bar/2018.1.7; Guid:test='","deviceCustomString1":""}"#,
        ),
        (
            "ad.Error_,Code=3 additional.dotfieldName=new ad.nn=TEST ad.foo.name[1]=x",
            r#"{"ad.Error_,Code":"3","additional.dotfieldName":"new","ad.nn":"TEST","ad.foo.name":{"1":"x"}}"#,
        ),
        ("ad.x[0]=1 ad.x[1]=2 y[0]=3 [z]=4", r#"{"ad.x":{"0":"1","1":"2"},"y":{"0":"3 [z]=4"}}"#),
        ("x=1 é=2", r#"{"x":"1 é=2"}"#),
        ("a=1 b", r#"{"a":"1 b"}"#),
        ("a=b\tc=d", r#"{"a":"b","c":"d"}"#),
        (r"a=b \=c=d", r#"{"a":"b =c=d"}"#),
        ("a=1 a=2 b=3 a=4", r#"{"a":"4","b":"3"}"#),
        ("a==1", r#"{"a":"=1"}"#),
        ("a=b=c", r#"{"a":"b=c"}"#),
        ("message=2 msg=3", r#"{"message":"3"}"#),
        ("_cefVer=0.1 1a=2", r#"{"_cefVer":"0.1","1a":"2"}"#),
        ("\0a=1\0 ", r#"{"a":"1"}"#),
        ("tags=x", r#"{"tags":"x"}"#),
        (
            "rt=Jul 19 2017 10:50:21.127 dtz=Europe/Moscow",
            r#"{"deviceReceiptTime":"Jul 19 2017 10:50:21.127","deviceTimeZone":"Europe/Moscow"}"#,
        ),
        ("start=", r#"{"startTime":""}"#),
    ] {
        assert_eq!(old(text), fields, "{text}");
    }
    for wrong in [
        "é=1",
        "aé=1 b=2",
        "a b=2",
        "a = b",
        "a[0][1]=5",
        "a..b=1",
        "a.b.=1",
        "=1",
        "@timestamp=x",
        "no pairs",
    ] {
        let text = format!("{HEADER}{wrong}");
        assert_eq!(decoded(&mut *codec(&CEF, "{}"), &[&text]), [failure(&text)]);
    }
}

#[test]
fn what_has_not_the_form_is_tagged() {
    for text in ["this is not cef", "a|b|c with several \\| escaped\\| pipes|d|bananas", "", "a|b|c|d|e|f\\|"]
    {
        let said = decoded(&mut *codec(&CEF, "{}"), &[text]);
        assert_eq!(said, [failure(text)]);
    }
    let lines = format!("{HEADER}a=1\n{HEADER}a=1\n");
    assert_eq!(decoded(&mut *codec(&CEF, "{}"), &[&lines]), [failure(&lines)]);
    for end in ["\n", "\r\n", "\r", ""] {
        assert_eq!(old(&format!("a=1{end}")), r#"{"a":"1"}"#);
    }
    let quoted = format!("\"{HEADER}a=1\"");
    assert!(decoded(&mut *codec(&CEF, "{}"), &[&quoted])[0].contains(r#""a":"1""#));
    assert_eq!(decoded(&mut *codec(&CEF, "{}"), &["\"x\""]), [failure("x")]);
    let bytes = [HEADER.as_bytes(), b"a=\xe9\xe9"].concat();
    assert_eq!(decoded(&mut *codec(&CEF, "{}"), &[bytes]), [failure(&format!("{HEADER}a=\u{fffd}\u{fffd}"))]);
    assert_eq!(
        decoded(&mut *codec_with(&CEF, "{}", EcsCompatibility::V8), &[format!("{HEADER}rt=")]),
        [failure(&format!("{HEADER}rt="))]
    );
    for wrong in ["end=x", "dtz=Nope/Zone rt=Jul 19 2017 10:50:21"] {
        let text = format!("{HEADER}{wrong}");
        assert_eq!(decoded(&mut *codec_with(&CEF, "{}", EcsCompatibility::V8), &[&text]), [failure(&text)]);
    }
}

#[test]
fn times_are_read_with_ecs() {
    let event = |settings: &str, text: &str| {
        let mut events = Vec::new();
        let text = format!("{HEADER}{text}");
        codec_with(&CEF, settings, EcsCompatibility::V8).decode(
            Blob::from(text.as_bytes()),
            Clock::System,
            &mut |event| events.push(event),
        );
        events.remove(0)
    };
    let moscow = event("{}", "rt=Jul 19 2017 10:50:21.127 dtz=Europe/Moscow end=Jul 19 2017 10:50:21 start=");
    assert_eq!(moscow.timestamp(), Timestamp::parse_iso8601("2017-07-19T07:50:21.127Z"));
    let field = |event: &Event, name: &str| event.get(&FieldReference::parse(name).unwrap()).cloned();
    assert_eq!(
        field(&moscow, "[event][end]"),
        Timestamp::parse_iso8601("2017-07-19T07:50:21Z").map(Value::Timestamp)
    );
    assert_eq!(field(&moscow, "[event][start]"), Some(Value::Null));
    assert_eq!(field(&moscow, "[event][timezone]"), Some(Value::from("Europe/Moscow")));
    let berlin =
        event(r#"{"default_timezone":"Europe/Berlin","locale":"de_DE"}"#, "rt=Dez. 19 2017 10:50:21");
    assert_eq!(berlin.timestamp(), Timestamp::parse_iso8601("2017-12-19T09:50:21Z"));
    assert!(refused(&CEF, r#"{"default_timezone":"Nope/Zone"}"#).contains("`Nope/Zone`"));
}

#[test]
fn streams_are_cut_at_the_delimiter() {
    let mut stream = codec(&CEF, r#"{"delimiter":"\\r\\n"}"#);
    let mut count = 0;
    let mut decode = |text: &str| {
        stream.decode(Blob::from(text.as_bytes()), Clock::System, &mut |_| count += 1);
        (count, stream.keeps())
    };
    assert_eq!(decode(HEADER), (0, true));
    assert_eq!(decode(&format!("\r\n{HEADER}a=1")), (1, true));
    let pieces =
        [format!("{HEADER}a=1\r"), format!("\n{HEADER}b=2\r\n\r\n{HEADER}c="), "3 split=perfect".to_owned()];
    let events = decoded(&mut *codec(&CEF, r#"{"delimiter":"\\r\\n"}"#), &pieces);
    assert_eq!(events.len(), 4);
    assert_eq!(events[2], failure(""));
    assert!(events[3].contains(r#""c":"3","split":"perfect""#));
}

#[test]
fn other_settings_of_decoding() {
    assert_eq!(
        extensions(r#"{"raw_data_field":"[raw][x]"}"#, EcsCompatibility::Disabled, "a=1"),
        format!(r#"{{"raw":{{"x":"{HEADER}a=1"}},,"a":"1"}}"#)
    );
    let device = "dvc=1 dvchost=2 dvcmac=3 deviceExternalId=4 deviceDnsDomain=5 deviceTranslatedAddress=6";
    assert_eq!(
        extensions(r#"{"device":"host"}"#, EcsCompatibility::V8, device),
        r#"{"host":{"ip":"1","name":"2","mac":"3","id":"4","registered_domain":"5","nat":{"ip":"6"}}}"#
    );
    assert!(ecs(device).contains(
        r#""version":"1.0","ip":"1","hostname":"2","mac":"3","name":"4","registered_domain":"5"},"#
    ));
}

fn encoded(settings: &str, ecs: EcsCompatibility, event: &str) -> String {
    let mut out = Vec::new();
    codec_with(&CEF, settings, ecs).encode(&json_event(event), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const ECS: EcsCompatibility = EcsCompatibility::V8;
const OLD: EcsCompatibility = EcsCompatibility::Disabled;

#[test]
fn headers_are_written() {
    let default = "CEF:0|Elasticsearch|Logstash|1.0|Logstash|Logstash|6|";
    assert_eq!(encoded("{}", ECS, r#"{"foo":"bar"}"#), default);
    let empty = r#"{"vendor":"","product":"","version":"","signature":"","name":"","severity":""}"#;
    assert_eq!(encoded(empty, ECS, "{}"), default);
    assert_eq!(
        encoded(
            r#"{"vendor":"%{v}","product":"%{p}","version":"%{w}","signature":"%{s}","name":"%{n}","severity":"%{none}"}"#,
            OLD,
            r#"{"v":"ven\ndor","p":"pro|duct","w":"ver\\sion","s":"sig\r\nnature","n":"na\rme"}"#
        ),
        r"CEF:0|ven dor|pro\|duct|ver\\sion|sig nature|na me|6|"
    );
    for (severity, written) in [
        ("1", 1),
        ("1.0", 1),
        ("10", 10),
        ("11", 6),
        ("-1", 6),
        ("5.4", 6),
        ("foo", 6),
        (" 7 ", 7),
        ("4\\n", 4),
        ("0x5", 0),
        ("1e0", 1),
        ("1_0", 10),
        ("+3", 3),
        ("3.", 6),
        ("%{n}", 5),
        (".5e1", 0),
        ("1e1", 1),
        ("nan", 6),
        ("0b11", 6),
        (" ", 6),
    ] {
        let text = encoded(&format!(r#"{{"severity":"{severity}"}}"#), ECS, r#"{"n":5}"#);
        assert_eq!(text, default.replace("|6|", &format!("|{written}|")), "{severity}");
    }
}

#[test]
fn extensions_are_written() {
    let event = concat!(
        r#"{"foo":"a\\b=c\nd\re\r\nf|g","f o":"x","@b-a_r":"y","h":{"x":1},"l":["a=b",{"c":"d"}],"fl":1.0,"#,
        r#""big":123456789012345678901234567890,"b":true,"nul":null,"u":"ü","@timestamp":"2024-03-05T06:07:08.123Z","#,
        r#""deviceAction":"da","act":"ac","event":{"action":"ea"},"sourceDnsDomain":"sd","source":{"registered_domain":"srd"},"#,
        r#""sourceNtDomain":"snt","destinationLatitude":1.5,"cef":{"device_custom_string_1":{"value":"v"}},"message":"m"}"#
    );
    let fields = concat!(
        r#""fields":["foo","f o","@b-a_r","h","l","fl","big","b","nul","u","@timestamp","[h][x]","none","deviceAction","act","#,
        r#""[event][action]","sourceDnsDomain","[source][registered_domain]","sourceNtDomain","destinationLatitude","#,
        r#""[cef][device_custom_string_1][value]","message","@metadata"]"#
    );
    let start = concat!(
        r"CEF:0|Elasticsearch|Logstash|1.0|Logstash|Logstash|6|foo=a\\b\=c\nd\ne\nf|g fo=x bar=y ",
        r#"h={"x":1} l=["a\=b",{"c":"d"}] fl=1.0 big=123456789012345678901234567890 b=true u=ü "#
    );
    for (ecs, more, rest) in [
        (
            ECS,
            "",
            "deviceReceiptTime=2024-03-05T06:07:08.123Z hx=1 deviceAction=da act=ac deviceAction=ea sourceDnsDomain=sd sourceDnsDomain=srd sourceNtDomain=snt destinationLatitude=1.5 deviceCustomString1=v message=m metadata={}",
        ),
        (
            ECS,
            r#","reverse_mapping":true,"delimiter":"\\r\\n""#,
            "rt=2024-03-05T06:07:08.123Z hx=1 act=da act=ac act=ea sourceDnsDomain=sd sourceDnsDomain=srd sntdom=snt dlat=1.5 cs1=v msg=m metadata={}\r\n",
        ),
        (
            OLD,
            r#","reverse_mapping":true"#,
            "timestamp=2024-03-05T06:07:08.123Z hx=1 act=da act=ac eventaction=ea sourceDnsDomain=sd sourceregistereddomain=srd sntdom=snt dlat=1.5 cefdevicecustomstring1value=v msg=m metadata={}",
        ),
    ] {
        assert_eq!(encoded(&format!("{{{fields}{more}}}"), ecs, event), format!("{start}{rest}"));
    }
}

#[test]
fn what_is_written_can_be_read() {
    for ecs in [OLD, ECS] {
        let settings = r#"{"fields":["foo","sourceDnsDomain"],"vendor":"a|b\\c"}"#;
        let text = encoded(settings, ecs, r#"{"foo":"b=a\nr x=y","sourceDnsDomain":"apple"}"#);
        let events = decoded(&mut *codec_with(&CEF, "{}", ecs), &[text]);
        assert!(
            events[0].contains(r#""foo":"b=a\nr x=y""#) && events[0].contains(r"a|b\\c"),
            "{}",
            events[0]
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,80}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
        let mut codec = codec_with(&CEF, "{}", ECS);
        for data in [text.as_bytes(), &bytes, format!("{HEADER}{text}").as_bytes()] {
            let mut count = 0;
            codec.decode(Blob::from(data), Clock::System, &mut |_| count += 1);
            proptest::prop_assert_eq!(count, 1);
        }
    }
}
