//! Lines however the blocks end.

use std::io::Write;

use proptest::prelude::*;

use super::*;

type Found = Vec<(u64, String, u64)>;

/// The lines with their offsets and what was cut, read in blocks; and that no more than a line and two blocks is
/// held at any time.
fn lines_of(text: &[u8], delimiter: &[u8], block: usize, max: usize) -> Found {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    let framing = Framing { delimiter: Arc::from(delimiter), max_line_bytes: max, block_bytes: block };
    let mut body = Body::new(file, false);
    let mut framer = Framer::new(framing, 0);
    let mut out = Vec::new();
    let mut next = 0;
    let mut push = |lines: Lines| {
        assert_eq!(lines.offset(), next, "they follow one another");
        assert!(lines.mark().matches(&body_of(text)).unwrap(), "the file is known by what was read");
        next = lines.end();
        out.extend(lines.into_iter().map(|line| {
            (line.offset, String::from_utf8_lossy(line.content.as_bytes()).into_owned(), line.cut)
        }));
    };
    while framer.fill(&mut body, 1 << 20, usize::MAX).unwrap() > 0 {
        assert!(framer.buf.len() <= 2 * (max + 1 + block) + delimiter.len(), "{}", framer.buf.len());
        while let Some(lines) = framer.take() {
            push(lines);
        }
    }
    if let Some(lines) = framer.take_rest() {
        push(lines);
    }
    assert_eq!((next, framer.position()), (text.len() as u64, text.len() as u64));
    out
}

/// The same of a file that grows by `step` bytes, of which the reader holds no more than `room` until it has asked for more.
/// And how many bytes it has read.
fn lines_let_go(text: &[u8], delimiter: &[u8], step: usize, room: usize, max: usize) -> (Found, usize) {
    let mut file = tempfile::tempfile().unwrap();
    let mut body = Body::new(file.try_clone().unwrap(), false);
    let framing = Framing { delimiter: Arc::from(delimiter), max_line_bytes: max, block_bytes: room };
    let (mut framer, mut out, mut all) = (Framer::new(framing, 0), Vec::new(), 0);
    let mut push = |lines: Lines| {
        assert!(lines.mark().matches(&body_of(text)).unwrap(), "the file is known by what was read");
        out.extend(lines.into_iter().map(|line| {
            (line.offset, String::from_utf8_lossy(line.content.as_bytes()).into_owned(), line.cut)
        }));
    };
    let mut written = 0;
    for more in text.chunks(step) {
        file.write_all(more).unwrap();
        written += more.len() as u64;
        loop {
            while let Some(lines) = framer.take() {
                push(lines);
            }
            if framer.held() >= room.min(framer.free()) {
                framer.let_go();
            }
            let needs = framer.needs();
            if needs > 0 {
                assert_eq!(framer.held(), 0);
                all += framer.load(&mut body).unwrap();
                assert_eq!(framer.held(), needs, "it is there");
                continue;
            }
            let lag = written - framer.position();
            if lag == 0 {
                break;
            }
            all += framer.fill(&mut body, lag, room).unwrap();
        }
    }
    if framer.let_go_bytes() > 0 {
        all += framer.load(&mut body).unwrap();
    }
    framer.take_rest().into_iter().for_each(&mut push);
    assert_eq!(framer.position(), text.len() as u64);
    (out, all)
}

fn body_of(text: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file
}

/// What a line is, said in the simplest way.
fn model(text: &[u8], delimiter: &[u8], max: usize) -> Found {
    let (mut found, mut start) = (Vec::new(), 0);
    while start < text.len() {
        let len = memmem::find(&text[start..], delimiter);
        let line = &text[start..start + len.unwrap_or(text.len() - start)];
        let kept = whole_characters(line, max);
        let shown = String::from_utf8_lossy(&line[..kept]).into_owned();
        found.push((start as u64, shown, (line.len() - kept) as u64));
        start += line.len() + delimiter.len();
    }
    found
}

/// Any bytes in which delimiters and halves of them are frequent.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"\n"[..]),
        Just(&b"\r"[..]),
        Just(&b"\r\n"[..]),
        Just("\u{e9}\u{1f980}".as_bytes()),
        Just(&b"abcdefgh"[..]),
        Just(&b"\xff"[..])
    ];
    prop::collection::vec((piece, 1..12_usize), 0..20)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, times)| piece.repeat(times)).collect())
}

/// The whole lines of a file, and the unfinished one.
fn read(text: &[u8], framing: &Framing) -> (Vec<Lines>, Option<Lines>) {
    let mut body = Body::new(body_of(text), false);
    let mut framer = Framer::new(framing.clone(), 0);
    let mut whole = Vec::new();
    while framer.fill(&mut body, 1 << 20, usize::MAX).unwrap() > 0 {
        whole.extend(std::iter::from_fn(|| framer.take()));
    }
    (whole, framer.take_rest())
}

#[test]
fn a_line_that_is_not_held_is_read_twice_at_most() {
    let text = [&b"x".repeat(100_000)[..], b"\nshort\n", &b"y".repeat(50_000)].concat();
    for step in [1, 7, 1000, 200_000] {
        let (found, all) = lines_let_go(&text, b"\n", step, 64, 1 << 20);
        assert_eq!(found, model(&text, b"\n", 1 << 20));
        // And what was looked through behind the end of a line.
        assert!(all <= 2 * text.len() + 1000, "{all} bytes were read, {step} at a time");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lines_are_the_same_if_nothing_is_held_of_them(
        text in stream(),
        step in 1..50_usize,
        room in 1..20_usize,
        max in 4..400_usize,
    ) {
        for delimiter in [&b"\n"[..], b"\r\n", b"\r\r\n"] {
            let (found, _) = lines_let_go(&text, delimiter, step, room, max);
            prop_assert_eq!(found, model(&text, delimiter, max));
        }
    }

    #[test]
    fn a_line_that_is_cut_with_its_file_is_one(
        text in stream(),
        cut in any::<prop::sample::Index>(),
        block in 1..20_usize,
        max in 4..40_usize,
    ) {
        let framing = Framing { delimiter: Arc::from(*b"\n"), max_line_bytes: max, block_bytes: block };
        let (elder, younger) = text.split_at(cut.index(text.len() + 1));
        let (mut all, mut beginning) = read(elder, &framing);
        let (whole, rest) = read(younger, &framing);
        let mut next = 0;
        for lines in whole.into_iter().chain(rest) {
            prop_assert_eq!(lines.offset(), next);
            let lines = beginning.take().into_iter().fold(lines, Lines::after);
            next = lines.end();
            prop_assert!(lines.mark().matches(&body_of(younger)).unwrap() || lines.rest.is_some());
            all.push(lines);
        }
        prop_assert_eq!(next, younger.len() as u64);
        let found: Vec<(String, u64)> = all
            .into_iter()
            .chain(beginning)
            .flatten()
            .map(|line| (String::from_utf8_lossy(line.content.as_bytes()).into_owned(), line.cut))
            .collect();
        let model = model(&text, b"\n", max).into_iter().map(|(_, line, cut)| (line, cut));
        prop_assert_eq!(found, model.collect::<Vec<_>>());
    }

    #[test]
    fn lines_are_those_of_the_model(text in stream(), delimiter in prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..])],
                                    block in 1..70_usize, max in 4..40_usize) {
        let expected = model(&text, delimiter, max);
        prop_assert_eq!(&lines_of(&text, delimiter, block, max), &expected);
        // The same in pieces that somebody else has read.
        let framing = Framing { delimiter: Arc::from(delimiter), max_line_bytes: max, block_bytes: 0 };
        let mut framer = Framer::new(framing, 0);
        let mut found = Vec::new();
        for piece in text.chunks(block) {
            framer.push(piece.to_vec());
            found.extend(std::iter::from_fn(|| framer.take()).flatten());
            prop_assert!(framer.buf.len() <= 2 * (max + 1 + block) + delimiter.len());
        }
        found.extend(framer.take_rest().into_iter().flatten());
        let found: Found = found
            .into_iter()
            .map(|line| (line.offset, String::from_utf8_lossy(line.content.as_bytes()).into_owned(), line.cut))
            .collect();
        prop_assert_eq!(&found, &expected);
    }
}

#[test]
fn lines_are_the_same_for_every_block_size() {
    let text = "one\n\ntwo is longer\nümläut\nlast without end";
    let expect = lines_of(text.as_bytes(), b"\n", 1 << 20, 1 << 20);
    assert_eq!(
        expect,
        [
            (0, "one".into(), 0),
            (4, String::new(), 0),
            (5, "two is longer".into(), 0),
            (19, "ümläut".into(), 0),
            (28, "last without end".into(), 0)
        ]
    );
    for block in 1..40 {
        assert_eq!(lines_of(text.as_bytes(), b"\n", block, 1 << 20), expect, "block of {block}");
    }
}

#[test]
fn a_long_delimiter_is_found_across_blocks() {
    for block in 1..12 {
        assert_eq!(
            lines_of(b"a\r\nb\rc\r\n\r\nd", b"\r\n", block, 1 << 20),
            [(0, "a".into(), 0), (3, "b\rc".into(), 0), (8, String::new(), 0), (10, "d".into(), 0)],
            "block of {block}"
        );
    }
}

#[test]
fn of_a_line_above_the_limit_the_beginning_comes_and_nothing_else_is_held() {
    for block in [3, 4, 5, 8, 100] {
        assert_eq!(
            lines_of(b"aaaaaaaaaab\nc\n", b"\n", block, 8),
            [(0, "aaaaaaaa".into(), 3), (12, "c".into(), 0)],
            "block of {block}"
        );
    }
    // Three times the limit, and no end.
    let long = vec![b'x'; 3 << 20];
    let found = lines_of(&long, b"\n", 64 << 10, 1 << 20);
    assert_eq!(found, [(0, "x".repeat(1 << 20), 2 << 20)]);
}

#[test]
fn bytes_that_are_not_utf8_stay_as_they_are() {
    let lines = Lines::new(b"ok\n\xff\xfe\n".to_vec(), Arc::from(*b"\n"), 7);
    let all: Vec<_> = lines.into_iter().map(|l| (l.offset, l.content.as_bytes().to_vec())).collect();
    assert_eq!(all, [(7, b"ok".to_vec()), (10, b"\xff\xfe".to_vec())]);
}
