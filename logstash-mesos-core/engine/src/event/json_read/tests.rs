use num_bigint::BigInt;

use super::*;
use crate::event::write_json;

fn filter(text: &str) -> Result<Value, JsonProblem> {
    JsonReader::new(JsonRules::FILTER).read(&Text::from(text)).map_err(|error| error.reason)
}

fn round_trip(text: &str) -> String {
    let mut out = Vec::new();
    write_json(&read_json(&Text::from(text)).unwrap(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn values_of_every_kind_are_read() {
    for text in [
        r#"{"a":1,"b":[],"c":{},"d":[1,"x",null,true,false,{"e":[[-5]]}]}"#,
        r#""a string that is longer than what fits inline""#,
        "-9223372036854775808",
        "9223372036854775808",
        "-123456789012345678901234567890",
    ] {
        assert_eq!(round_trip(text), text);
    }
    assert_eq!(round_trip(" { \"a\" :\t[ 1 ,\n2 ] } "), r#"{"a":[1,2]}"#);
}

#[test]
fn plain_strings_are_slices_of_the_input() {
    let text = Text::from(r#"{"key":"a value that is too long to be kept inline"}"#);
    let Value::Map(map) = read_json(&text).unwrap() else { panic!("a hash") };
    let value = map.get("key").and_then(Value::as_text).unwrap();
    let range = text.as_bytes().as_ptr_range();
    assert!(range.contains(&value.as_bytes().as_ptr()));
}

#[test]
fn escapes_are_undone() {
    let read = |text: &str| match filter(text) {
        Ok(Value::Text(text)) => Ok(text.to_string()),
        Ok(_) => panic!("a string"),
        Err(problem) => Err(problem),
    };
    assert_eq!(read(r#""\u00e9\n\t\"\\\/\b\f\r x""#).unwrap(), "é\n\t\"\\/\u{8}\u{c}\r x");
    assert_eq!(read(r#""\ud83d\ude00""#).unwrap(), "😀");
    assert_eq!(read(r#""a\ud83dz""#).unwrap(), "a?z");
    assert_eq!(read(r#""\ud83d\u0041""#).unwrap(), "?A");
    assert_eq!(read(r#""\x""#), Err(JsonProblem::Escape));
    assert_eq!(read(r#""\u12g4""#), Err(JsonProblem::Escape));
    assert_eq!(read(r#""\u12"#), Err(JsonProblem::End));
    assert_eq!(read("\"a\nb\""), Err(JsonProblem::Control));
    assert_eq!(read("\"0123456789abcdef\u{1}\""), Err(JsonProblem::Control));
}

#[test]
fn numbers_follow_json_and_the_place_they_are_read_for() {
    for wrong in ["01", "-", "+1", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "1x", "0x10", "--1"] {
        assert!(filter(wrong).is_err(), "{wrong}");
    }
    assert_eq!(filter("-0"), Ok(Value::Int(0)));
    assert_eq!(read_json(&Text::from("2.50")), Ok(Value::Float(2.5)));
    let exact = |text: &str| match filter(text) {
        Ok(Value::Decimal(number)) => number.as_bigint_and_exponent(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(exact("2.50"), (BigInt::from(250), 2));
    assert_eq!(exact("1E-5"), (BigInt::from(1), 5));
    assert_eq!(exact("-1e5"), (BigInt::from(-1), -5));
    assert_eq!(exact("0.12345678901234567890"), (BigInt::from(12_345_678_901_234_567_890_u64), 20));
    assert_eq!(filter("1e99999999999"), Err(JsonProblem::NumberLength));
    assert_eq!(filter(&"9".repeat(1001)), Err(JsonProblem::NumberLength));
}

#[test]
fn a_repeated_key_keeps_its_place_and_takes_the_last_value() {
    assert_eq!(round_trip(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
    let many = (0..100).map(|n| format!("\"k{}\":{n}", n % 50)).collect::<Vec<_>>().join(",");
    let Value::Map(map) = read_json(&Text::from(format!("{{{many}}}"))).unwrap() else { panic!("a hash") };
    assert_eq!(map.len(), 50);
    assert_eq!(map.get("k7"), Some(&Value::Int(57)));
}

#[test]
fn what_may_follow_depends_on_the_place() {
    let read = |rules, text: &'static str| JsonReader::new(rules).read(&Text::from(text));
    assert_eq!(read(JsonRules::FILTER, "1 2"), Ok(Value::Int(2)));
    assert_eq!(read(JsonRules::CODEC, "1 trailing"), Ok(Value::Int(1)));
    assert_eq!(read(JsonRules::STRICT, "1 2").unwrap_err().reason, JsonProblem::Trailing);
    assert_eq!(read(JsonRules::FILTER, "{\"a\":1} x").unwrap_err().reason, JsonProblem::Unexpected);
    assert_eq!(read(JsonRules::FILTER, " "), Ok(Value::Null));
    assert_eq!(read(JsonRules::STRICT, " ").unwrap_err().reason, JsonProblem::Empty);
    assert_eq!(read(JsonRules::STRICT, "\u{feff}1"), Ok(Value::Int(1)));
}

#[test]
fn errors_say_where() {
    let error = read_json(&Text::from("{\n \"ä\": x}")).unwrap_err();
    assert_eq!((error.line, error.column, error.offset), (2, 7, 9));
    assert_eq!(error.to_string(), "unexpected character in JSON at line 2, column 7");
}

#[test]
fn depth_is_limited() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(filter(&deep(1000)).is_ok());
    assert_eq!(filter(&deep(1001)), Err(JsonProblem::Depth));
    assert_eq!(filter(&"{\"a\":".repeat(100_000)), Err(JsonProblem::Depth));
}

#[test]
fn any_prefix_of_a_document_is_refused_without_panic() {
    let text = r#"{"a":[1.5e3,"xé\u00e9",true,null],"b":{"c":-12}}"#;
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert!(read_json(&Text::from(&text[..end])).is_err(), "{}", &text[..end]);
    }
}

#[test]
fn values_that_take_too_much_memory_are_refused_before_they_take_it() {
    let limit = Arc::new(ParsedLimit::new(ParsedLimit::LEAST_BYTES));
    let mut reader = JsonReader::new(JsonRules::FILTER).within(&limit);
    let many = |item: &str, count: usize| format!("[{}{item}]", format!("{item},").repeat(count));
    let members = |value: &str| {
        format!("{{{}\"z\":0}}", (0..80_000).map(|n| format!("\"{n}\":{value},")).collect::<String>())
    };
    for (nth, text) in [
        many("1", 200_000),
        many("[]", 200_000),
        many("[1]", 80_000),
        many("{}", 200_000),
        many("{\"a\":1}", 40_000),
        many("1.5", 40_000),
        many("\"\\n, which is longer than what fits inline\"", 70_000),
        members("{}"),
        format!("{{\"a\":{}}}", many("1", 200_000)),
    ]
    .into_iter()
    .enumerate()
    {
        let text = Text::from(text);
        assert_eq!(reader.read(&text).unwrap_err().reason, JsonProblem::Memory, "{nth}");
        let mut map: Map = [("there", 1_i64)].into_iter().collect();
        let read = reader.read_into(&text, &mut map, EscapeStyle::None);
        assert_eq!(read.unwrap_err().reason, JsonProblem::Memory, "{nth}");
        assert_eq!((map.len(), limit.texts()), (1, 2 * (nth as u64 + 1)));
        assert!(reader.items.capacity() <= KEPT && reader.entries.capacity() <= KEPT, "{nth}");
        assert_eq!(reader.read(&Text::from("[1]")).unwrap(), Value::List(vec![Value::Int(1)]));
    }
    // What fits is as without a limit, and holds no more than it needs.
    for text in [many("1", 90_000), many("{\"a\":[]}", 15_000)] {
        let text = Text::from(text);
        let value = reader.read(&text).unwrap();
        assert_eq!(value, JsonReader::new(JsonRules::FILTER).read(&text).unwrap());
        let Value::List(items) = value else { panic!("a list") };
        assert_eq!(items.capacity(), items.len());
    }
    // Each of them is alone.
    let mut count = 0;
    let text = Text::from(many("{\"a\":1}", 80_000));
    assert_eq!(
        reader.read_items(&text, &mut |_| {
            count += 1;
            true
        }),
        Ok(true)
    );
    assert_eq!(count, 80_001);
}

#[test]
fn of_a_key_that_comes_again_the_last_value_counts_at_the_first_place() {
    let mut random = 1_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    for keys in [1, 10, 40, 1000] {
        let entries: Vec<(u32, u32)> = (0..300).map(|_| (next(keys), next(100))).collect();
        let written: Vec<String> = entries.iter().map(|(key, value)| format!("\"k{key}\":{value}")).collect();
        let Value::Map(map) = read_json(&Text::from(format!("{{{}}}", written.join(",")))).unwrap() else {
            panic!("a hash")
        };
        let mut expected = Map::new();
        for (key, value) in entries {
            expected.insert(format!("k{key}"), i64::from(value));
        }
        assert!(map.iter().eq(expected.iter()), "{keys}");
    }
}
