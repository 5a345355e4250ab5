use super::*;

/// The groups of the first match, the whole match first.
fn groups<'t>(pattern: &str, text: &'t str) -> Option<Vec<Option<&'t str>>> {
    groups_with(pattern, text, &Options::default())
}

fn groups_with<'t>(pattern: &str, text: &'t str, options: &Options) -> Option<Vec<Option<&'t str>>> {
    let regex = Regex::with_options(pattern, options).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
    regex
        .captures(text, 0, &mut scratch, &mut captures)
        .unwrap_or_else(|error| panic!("{pattern}: {error}"))
        .then(|| {
            (0..=regex.group_count()).map(|group| captures.get(group).map(|range| &text[range])).collect()
        })
}

#[track_caller]
fn finds(pattern: &str, text: &str, expected: &str) {
    let found = groups(pattern, text);
    assert_eq!(found.as_ref().and_then(|groups| groups[0]), Some(expected), "{pattern} in {text:?}");
}

#[track_caller]
fn misses(pattern: &str, text: &str) {
    assert_eq!(groups(pattern, text), None, "{pattern} in {text:?}");
}

#[track_caller]
fn captures(pattern: &str, text: &str, expected: &[Option<&str>]) {
    assert_eq!(groups(pattern, text).as_deref(), Some(expected), "{pattern} in {text:?}");
}

#[track_caller]
fn refuses(pattern: &str, message: &str) {
    match Regex::new(pattern) {
        Ok(_) => panic!("{pattern} was accepted"),
        Err(error) => assert_eq!(error.kind.to_string(), message, "{pattern}"),
    }
}

#[track_caller]
fn replaces(pattern: &str, replacement: &str, text: &str, expected: &str) {
    let regex = Regex::new(pattern).expect("the pattern is valid");
    let result = regex.replace_all(text, replacement, &mut Scratch::new()).expect("within budget");
    assert_eq!(result.as_deref().unwrap_or(text), expected, "{pattern} in {text:?}");
}

#[test]
fn literals_and_escapes() {
    finds("", "abc", "");
    finds("b", "abc", "b");
    finds(r"a\.c", "abc a.c", "a.c");
    finds(r"\t\n\r\f\v\a\e", "\t\n\r\x0c\x0b\x07\x1b", "\t\n\r\x0c\x0b\x07\x1b");
    finds(r"\x41\x{42}\u0043\u{44 45}\106", "ABCDEF", "ABCDEF");
    finds(r"\xc3\xa4+", "aää", "ää");
    finds(r"\cA\C-b\x7", "\x01\x02\x07", "\x01\x02\x07");
    finds(r"\/\-\_\#", "/-_#", "/-_#");
    finds("日本", "これは日本語", "日本");
    finds("a{,}b{x}{", "a{,}b{x}{", "a{,}b{x}{");
    finds("]}", "a]}", "]}");
}

#[test]
fn the_dot_stops_at_newlines_unless_asked() {
    finds("a.c", "a\nc abc", "abc");
    finds("(?m:a.c)", "a\nc", "a\nc");
    finds("(?m)a.c", "a\nc", "a\nc");
    finds("a.c", "aäc", "aäc");
}

#[test]
fn letter_classes_are_ascii_and_brackets_are_unicode() {
    finds(r"\w+", "äöü abc_1é", "abc_1");
    finds(r"\W+", "abc äö1", " äö");
    finds(r"[[:alpha:]]+", "1äöüß2", "äöüß");
    finds(r"[[:^alpha:]]+", "a12b", "12");
    finds(r"\p{Alpha}+", "1äöü", "äöü");
    finds(r"\p{Greek}+", "abc αβγ", "αβγ");
    finds(r"\p{^Alpha}+", "äb12", "12");
    finds(r"\P{L}+", "äb12", "12");
    finds(r"\d+", "٣ 3", "3");
    finds(r"[[:digit:]]+", "٣ 3", "٣");
    finds(r"\s", "a\u{a0} b", " ");
    finds(r"[[:space:]]", "a\u{a0} b", "\u{a0}");
    finds(r"\h+", "xyz 12aFg", "12aF");
    finds(r"\H+", "12zzf", "zz");
    finds(r"(?u)\w+", "äöü", "äöü");
    finds(r"(?a)[[:alpha:]]+", "äbc", "bc");
    finds(r"[[:punct:]]+", "a$+!b", "$+!");
    finds(r"[[:word:]]+", " ä_1 ", "ä_1");
    finds(r"[[:xdigit:]]+", "xyzaf", "af");
}

#[test]
fn classes() {
    finds("[a-c]+", "xxabcabx", "abcab");
    finds("[^a-c]+", "abxyc", "xy");
    finds("[]a]+", "x]a]", "]a]");
    finds("[^]a]+", "]xy]", "xy");
    finds(r"[\]\-\\]+", r"a]-\b", r"]-\");
    finds("[a-]+", "-a-b", "-a-");
    finds("[-a]+", "-a-b", "-a-");
    finds("[a-c-e]+", "d-eb", "-eb");
    finds("[+--]+", "a+,-b", "+,-");
    finds("[a-z&&[^aeiou]]+", "aeibcd", "bcd");
    finds("[a-z&&b-y&&c-x]+", "abcxyz", "cx");
    finds("[a[bc]d]+", "xabcdx", "abcd");
    finds("[[[:alnum:]]_%!$@:.,+~-]+", " a_%b ", "a_%b");
    finds(r"[\w.]+", "ä a.b ", "a.b");
    finds("[äöü]+", "aöüb", "öü");
    finds("[^ä]+", "äxyä", "xy");
    finds("[à-ü]+", "aéb", "é");
    finds(r"[\u00fc]", "aüb", "ü");
    finds(r"[\b]", "a\x08", "\x08");
    finds("[a&b]+", "xa&b", "a&b");
}

#[test]
fn anchors_are_those_of_ruby() {
    finds("^b", "a\nb", "b");
    finds("a$", "a\nb", "a");
    misses(r"\Ab", "a\nb");
    misses(r"a\z", "a\n");
    finds(r"a\Z", "a\n", "a");
    misses(r"a\Z", "a\n\n");
    // There is no line after the last newline.
    misses(r"\n^", "a\n");
    finds(r"\n$", "a\n", "\n");
    finds(r"^$", "", "");
    finds(r"\bfoo\b", "xfoo foo", "foo");
    finds(r"\Boo", "foo", "oo");
    // Boundaries know all of Unicode, although \w does not.
    misses(r"\bb", "äb");
    finds(r"(?a)\bb", "äb", "b");
}

#[test]
fn groups_capture() {
    captures("(a)(b)?(c)", "ac", &[Some("ac"), Some("a"), None, Some("c")]);
    captures("(?:a)(b)", "ab", &[Some("ab"), Some("b")]);
    captures("((a)|(b))+", "ab", &[Some("ab"), Some("b"), Some("a"), Some("b")]);
    captures("(?<x>a)(b)", "ab", &[Some("ab"), Some("a")]);
    captures("(?'x'a)(?<y>b)", "ab", &[Some("ab"), Some("a"), Some("b")]);
    captures("(?<x>a)|(?<x>b)", "b", &[Some("b"), None, Some("b")]);
    captures("(a*)*", "aa", &[Some("aa"), Some("")]);
    captures("(?<[a][b]>x)", "x", &[Some("x"), Some("x")]);
    captures("(?<WORD:a:int>x)", "x", &[Some("x"), Some("x")]);
    let regex = Regex::new("(?<b>.)(?<a>.)(?<b>.)").expect("valid");
    let names: Vec<(&str, &[u32])> = regex.names().collect();
    assert_eq!(names, [("b", [1, 3].as_slice()), ("a", [2].as_slice())]);
}

#[test]
fn capture_modes() {
    let all = Options { captures: CaptureMode::All, ..Options::default() };
    assert_eq!(groups_with("(?<x>a)(b)", "ab", &all), Some(vec![Some("ab"), Some("a"), Some("b")]));
    let named = Options { captures: CaptureMode::Named, ..Options::default() };
    assert_eq!(groups_with("(a)(b)", "ab", &named), Some(vec![Some("ab"), None, None]));
    let none = Options { captures: CaptureMode::None, ..Options::default() };
    assert_eq!(groups_with(r"(?<q>['`]).*?\k<q>", "x'a'", &none).map(|groups| groups[0]), Some(Some("'a'")));
}

#[test]
fn quantifiers() {
    finds("a{2}", "aaa", "aa");
    finds("a{2,}", "aaaa", "aaaa");
    finds("a{,2}", "aaaa", "aa");
    finds("a{1,3}?", "aaaa", "a");
    finds("a+?b", "aab", "aab");
    finds("(?:ab){2,3}", "abababab", "ababab");
    finds("(?:ab){2,3}?", "abababab", "abab");
    finds("(?:ab|cd){0,40}e", "abcdabe", "abcdabe");
    finds("(?:a|ab){30,40}c", &("ab".repeat(35) + "c"), &("ab".repeat(35) + "c"));
    finds("(?:a|ab){1,40}?b", "aab", "aab");
    misses("a*+a", "aaa");
    misses("a++a", "aaa");
    misses("(?:ab)?+ab", "ab");
    // A count with a plus is a repeated count, and `{n}?` an optional one.
    finds("a{1,2}+a", "aaa", "aaa");
    finds("a{2}?b", "ab", "b");
    finds("(?:a?)*b", "aab", "aab");
    finds("(?:a*)+b", "aab", "aab");
    finds("(?:|a)+b", "aab", "aab");
    finds("(?:a|b|){3}c", "abc", "abc");
    finds("ä{2}", "aää", "ää");
    finds("[äö]{1,2}ö", "äöö", "äöö");
    finds(".{3}ä", "xääääy", "xääää".get(.."xäää".len()).expect("boundary"));
}

#[test]
fn atomic_groups_and_possessive_loops_do_not_give_back() {
    misses("(?>a+)ab", "aaab");
    finds("(?>a+)b", "aaab", "aaab");
    misses("(?>a|ab)c", "abc");
    finds("(?>|x)c", "xc", "c");
    finds(r#"(?>"(?>\\.|[^\\"]+)+"|"")"#, r#"x "a \" b" y"#, r#""a \" b""#);
    captures("(?>(a)|(b))+c", "abc", &[Some("abc"), Some("a"), Some("b")]);
    captures("(?:(?>(a)b)|(a))c", "ac", &[Some("ac"), None, Some("a")]);
}

#[test]
fn look_around() {
    finds("a(?=b)", "acab", "a");
    finds("a(?!b)", "abac", "a");
    finds("(?<=a)b", "bab", "b");
    finds("(?<!a)b", "abcb", "b");
    finds("(?<=ab|c)d", "bd cd", "d");
    finds("(?<!ab|c)d", "abd cd xd", "d");
    finds("(?<=ä)b", "bäb", "b");
    finds("(?<=^|,)x", "a,x", "x");
    captures("(?=(a+))a", "aaa", &[Some("a"), Some("aaa")]);
    captures("(?!(a)b)a", "ac", &[Some("a"), None]);
    finds(r"(?<![0-9.+-])(?>[+-]?\d+)", "1.2 -3", "1");
    finds(r"(?<=(?<!x)a)b", "xab ab", "b");
    finds(r"(?=.*b)a", "aab", "a");
    refuses("(?<=a+)b", "invalid pattern in look-behind");
    refuses("(?<=a(?:b|cd))e", "invalid pattern in look-behind");
    refuses("(?<!(a))b", "invalid pattern in look-behind");
    refuses("(?<=(?>a))b", "invalid pattern in look-behind");
}

#[test]
fn options_reach_to_the_end_of_the_group() {
    finds("(?i)abc", "xABC", "ABC");
    finds("(?i:a)b", "Ab", "Ab");
    misses("(?i:a)b", "AB");
    finds("a(?i)b|c", "aC", "aC");
    finds("(?:a(?i)b)c", "aBc", "aBc");
    misses("(?:a(?i)b)c", "aBC");
    finds("(?x) a b # comment\n c", "abc", "abc");
    finds("(?x: a\\ b )c d", "a bc d", "a bc d");
    finds("(?i)ÄÖ", "äö", "äö");
    finds("(?i)[a-c]+", "ABC", "ABC");
    misses("(?i)[^a]", "A");
    finds("a(?#comment)b", "ab", "ab");
    finds(r"a(?#com\)ment)+", "aa", "aa");
    finds(r"(?i)[^\W_]+", "_ks_", "ks");
    finds(r"(?i)[\w]+", "\u{212a}K", "K");
    finds("(?i)[[:lower:]]+", "abC", "abC");
    finds("(?i)ERR", "some error", "err");
}

#[test]
fn references() {
    finds(r"(a|b)\1", "abb", "bb");
    finds(r"(?<q>['`]).*?\k<q>", "x'a`b'", "'a`b'");
    finds(r"(?<q>['`]).*?\k'q'", "x'a`b'", "'a`b'");
    finds(r"(a)\k<-1>", "aa", "aa");
    finds(r"(?i)(a)\1", "aA", "aA");
    misses(r"(a)?b\1", "b");
    finds(r"(?<n>a)(?<n>b)\k<n>", "aba abb", "aba");
    finds(r"(?:(a)|b)(?(1)c|d)", "bc bd", "bd");
    finds(r"(?<x>a)?(?(<x>)b|c)", "ab", "ab");
    finds(r"\K", "", "");
    finds(r"ab\Kc", "abc", "c");
    refuses(r"(?<a>x)\1", "numbered backref/call is not allowed. (use name)");
    refuses(r"\k<a>(?<a>x)", "undefined name <a> reference");
    refuses(r"\1", "invalid backref number/name");
    refuses(r"(a)\2", "invalid backref number/name");
}

#[test]
fn calls_recurse() {
    finds(r"(?<p>\((?:[^()]|\g<p>)*\))", "x(a(b)(c(d)))y", "(a(b)(c(d)))");
    finds(r"(?<n>\d+),\g<n>", "1,22", "1,22");
    finds(r"\A(?<a>|.|(?:(?<b>.)\g<a>\k<b>))\z", "", "");
    finds(r"(a(?:\g<1>)?b)", "xaabbb", "aabb");
    finds(r"(?<x>a|b\g<x>c){2}", "bacbbacc", "bacbbacc");
    captures(r"(?<p>a|\(\g<p>\))", "((a))", &[Some("((a))"), Some("((a))")]);
    refuses(r"(?<a>\g<a>x)", "never ending recursion");
    refuses(r"\g<nope>", "undefined name <nope> reference");
    refuses(r"(?<a>x)(?<a>y)\g<a>", "multiplex definition name <a> call");
}

#[test]
fn line_breaks_and_graphemes() {
    finds(r"a\Rb", "a\r\nb", "a\r\nb");
    finds(r"\R", "a\u{2028}", "\u{2028}");
    misses(r"\r\Rb", "\r\nb".get(..1).expect("one byte"));
    finds(r"\A\X", "\n\u{308}", "\n");
    captures(r"\((a|\g<0>)*\)", "((a)a)", &[Some("((a)a)"), Some("a")]);
    finds(r"a\X", "ae\u{301}x", "ae\u{301}");
}

#[test]
fn mistakes_are_named_as_in_ruby() {
    refuses("[", "premature end of char-class");
    refuses("[a", "premature end of char-class");
    refuses("[]", "empty char-class");
    refuses("a[]", "empty char-class");
    refuses("[z-a]", "empty range in char class");
    refuses(r"[a-\d]", "char-class value at end of range");
    refuses(r"[\d-a]", "unmatched range specifier in char-class");
    refuses("[[:foo:]]", "invalid POSIX bracket type");
    refuses("*a", "target of repeat operator is not specified");
    refuses("a|*", "target of repeat operator is not specified");
    refuses("(?:+)", "target of repeat operator is not specified");
    refuses("{2}", "target of repeat operator is not specified");
    refuses("(a", "end pattern with unmatched parenthesis");
    refuses("a)", "unmatched close parenthesis");
    refuses("(?", "end pattern in group");
    refuses("(?y)", "undefined group option");
    refuses("(?)", "undefined group option");
    refuses("(?~a)", "undefined group option");
    refuses(r"a\", "end pattern at escape");
    refuses("(?<>a)", "group name is empty");
    refuses("(?<1>a)", "invalid group name <1>");
    refuses("(?<a", "invalid group name <a>");
    refuses("a{3,2}", "upper is smaller than lower in repeat range");
    refuses("a{100001}", "too big number for repeat range");
    refuses(r"\p{Nope}", "invalid character property name {Nope}");
    refuses(r"\p{Alpha", "property name never terminated \\p{Alpha");
    refuses(r"\xff", "too short multibyte code string");
    refuses(r"\u12", "too short digits");
    refuses(r"\400", "too big number");
    refuses(&"(".repeat(500), "groups are nested too deeply");
    let error = Regex::new("ab[c").expect_err("unclosed");
    assert_eq!((error.offset, error.to_string().as_str()), (4, "premature end of char-class at byte 4"));
}

#[test]
fn nested_counts_stay_small() {
    let regex = Regex::new(&format!("{}a{}", "(?:".repeat(60), "b){2}".repeat(60))).expect("valid");
    assert!(!regex.is_match("abbb", &mut Scratch::new()).expect("decided"));
}

#[test]
fn searching_starts_where_asked() {
    let regex = Regex::new(r"(?<=a)b|\Gc").expect("valid");
    let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
    assert!(regex.captures("abcb", 1, &mut scratch, &mut captures).expect("decided"));
    assert_eq!(captures.get(0), Some(1..2));
    assert!(regex.captures("abcb", 2, &mut scratch, &mut captures).expect("decided"));
    assert_eq!(captures.get(0), Some(2..3));
    assert!(!regex.captures("abcb", 3, &mut scratch, &mut captures).expect("decided"));
    assert!(!regex.captures("abcb", 9, &mut scratch, &mut captures).expect("decided"));
}

#[test]
fn replacing_is_that_of_gsub() {
    replaces("b", "x", "abcb", "axcx");
    replaces("(b)(c)", r"\2\1", "abcd", "acbd");
    replaces("(?<n>b)", r"<\k<n>>", "abc", "a<b>c");
    replaces("(?<n>b)(?<m>x)?", r"[\1\k<n>\k<m>\0]", "abc", "a[bb]c");
    for (pattern, replacement) in [("(b)", r"\k<1>"), ("(?<n>b)", r"\k<m>"), ("(?<n>b)", r"\k<n")] {
        let result = Regex::new(pattern).unwrap().replace_all("abc", replacement, &mut Scratch::new());
        assert_eq!(result, Err(MatchError::UnknownGroup), "{replacement}");
    }
    replaces("b", r"\0\&", "abc", "abbc");
    replaces("b", r"[\`|\']", "abc", "a[a|c]c");
    replaces("b", r"\\1\n\9", "abc", r"a\1\nc");
    replaces("", "-", "aä", "-a-ä-");
    replaces("x*", "-", "axb", "-a--b-");
    replaces("a", r"x\", "a", r"x\");
    replaces("^", "> ", "a\nb\n", "> a\n> b\n");
    replaces(r"\bb", "x", "abb b", "abb x");
    replaces("[/]", "_", "a/b/c", "a_b_c");
    replaces("z", "x", "abc", "abc");
    replaces(r"(?<=\Ka)", "-", "aab", "--b");
    replaces(r"b|(?<=\Kab)", "-", "ab", "a-");
}

#[test]
fn budget_falls_back_to_linear_time() {
    let text = "a".repeat(30);
    let linear = Regex::new("(?:a|a|aa)*c").expect("valid");
    assert!(linear.has_linear_form());
    assert_eq!(linear.is_match(&(text.clone() + "c b"), &mut Scratch::new()), Ok(true));
    let text_with_c = text.clone() + "b c";
    let pattern = Regex::new("((?:a|a|aa)+)b(?:c| d)").expect("valid");
    assert_eq!(pattern.is_match(&text_with_c, &mut Scratch::new()), Ok(false));
    let options = Options { step_limit: 100_000, ..Options::default() };
    let other = Regex::with_options("(?:a|a|aa)+(?!b)(?=c)c", &options).expect("valid");
    assert!(!other.has_linear_form());
    assert_eq!(other.is_match(&text_with_c, &mut Scratch::new()), Err(MatchError::Budget));
}

#[test]
fn long_texts_need_little_memory() {
    let text = "key=value ".repeat(200_000);
    let regex = Regex::new(r"\A(?:(?<k>\w+)=(?<v>\w+) )+\z").expect("valid");
    let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
    assert_eq!(regex.captures(&text, 0, &mut scratch, &mut captures), Ok(true));
    assert_eq!(captures.get(1), Some(text.len() - 10..text.len() - 7));
}

#[test]
fn the_clock_ends_a_match() {
    let regex = Regex::with_options(
        "(?:a|a|aa)+(?!b)(?=c)c",
        &Options { step_limit: u64::MAX, ..Options::default() },
    )
    .expect("valid");
    let mut scratch = Scratch::new();
    scratch.set_timeout(Some(std::time::Duration::from_millis(20)));
    let text = "a".repeat(60) + "b c";
    assert_eq!(regex.is_match(&text, &mut scratch), Err(MatchError::Timeout));
    // The next match has its own time.
    assert_eq!(regex.is_match("aac", &mut scratch), Ok(true));
}

#[test]
fn scratch_is_reusable_between_patterns() {
    let mut scratch = Scratch::new();
    let mut captures = Captures::new();
    for (pattern, text, expected) in
        [("(a)(b)(c)", "abc", true), ("x", "abc", false), (r"(?<y>\d{4,})", "in 2024", true), ("", "", true)]
    {
        let regex = Regex::new(pattern).expect("valid");
        assert_eq!(regex.captures(text, 0, &mut scratch, &mut captures), Ok(expected), "{pattern}");
    }
}

mod against_the_regex_crate {
    use proptest::prelude::*;

    use super::*;

    /// Patterns that mean the same to both engines.
    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[abc ]".prop_map(|text| text),
            Just("ä".to_owned()),
            Just("[ab]".to_owned()),
            Just("[^a]".to_owned()),
            Just("[^aä]".to_owned()),
            Just("[a-cä-ü]".to_owned()),
            Just(".".to_owned()),
            Just("abc".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just(r"\b".to_owned()),
            Just(r"\A".to_owned()),
            Just(r"\z".to_owned()),
            Just("[[:alpha:]]".to_owned()),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                2 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
                2 => inner.clone().prop_map(|part| format!("({part})")),
                3 => (inner, prop_oneof![
                    Just("*"), Just("+"), Just("?"), Just("*?"), Just("+?"), Just("??"),
                    Just("{2}"), Just("{1,3}"), Just("{1,3}?"), Just("{2,}"), Just("{0,2}"),
                ])
                    .prop_map(|(part, quantifier)| format!("(?:{part}){quantifier}")),
            ]
        })
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop_oneof![Just("a"), Just("b"), Just("c"), Just("ä"), Just(" "), Just("\n"), Just("abc")],
            0..12,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::with_cases(3000) })]
        #[test]
        fn same_match(pattern in pattern(), text in text()) {
            // `^` after a final newline, and loops whose rounds may match nothing, differ by design.
            let ours = Regex::new(&pattern).expect("the pattern is valid");
            let ascii = pattern.replace("[[:alpha:]]", r"\p{Alphabetic}");
            let theirs = regex::Regex::new(&format!("(?m){ascii}")).expect("the pattern is valid");
            prop_assume!(ours.has_linear_form() && !(ours.inner.line_start && text.ends_with('\n')));
            let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
            let found = ours.captures(&text, 0, &mut scratch, &mut captures).expect("short texts are decided");
            let expected = theirs.captures(&text);
            prop_assert_eq!(found, expected.is_some());
            if let Some(expected) = expected {
                for group in 0..theirs.captures_len() {
                    prop_assert_eq!(captures.get(group), expected.get(group).map(|found| found.range()), "group {}", group);
                }
            }
        }

        #[test]
        fn any_pattern_is_survived(pattern in r"[\[\]\(\)\?\*\+\{\}\|\\a-c0-3,:<>=!&^$.#xpkgäK-]{0,24}", text in text()) {
            let options = Options { step_limit: 100_000, ..Options::default() };
            if let Ok(regex) = Regex::with_options(&pattern, &options) {
                let mut captures = Captures::new();
                if let Ok(true) = regex.captures(&text, 0, &mut Scratch::new(), &mut captures) {
                    for group in 0..=regex.group_count() {
                        if let Some(range) = captures.get(group) {
                            prop_assert!(text.get(range).is_some());
                        }
                    }
                }
            }
        }

        #[test]
        fn linear_form_agrees(pattern in pattern(), text in text()) {
            let ours = Regex::new(&pattern).expect("the pattern is valid");
            prop_assume!(!(ours.inner.line_start && text.ends_with('\n')));
            if let Some(linear) = ours.inner.linear() {
                let found = ours.is_match(&text, &mut Scratch::new()).expect("short texts are decided");
                prop_assert_eq!(found, linear.is_match(&text));
            }
        }
    }
}
