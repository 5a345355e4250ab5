//! Podman's log driver `k8s-file`, in the form that Kubernetes' container runtimes write: `TIME STREAM TAGS TEXT` to a line,
//! where the first tag is `F` when the line ends with this text and `P` when it goes on
//! (`kubernetes/design-proposals-archive`, "CRI: Log management").

use jiff::Timestamp as Instant;
use memchr::memchr;

use super::joiner::Joiner;
use super::{Channel, Record, Records};
use crate::event::Timestamp;
use crate::source::{Content, Kept, Lines};

/// Unpacks the log and joins lines that were written in pieces. Texts are slices of the block that was read; only pieces
/// are copied.
#[derive(Debug)]
pub(crate) struct K8sFile {
    joiner: Joiner,
}

impl K8sFile {
    /// Of a container with a terminal (`tty`) or without.
    pub(crate) fn new(tty: bool, max_line_bytes: usize) -> Self {
        Self { joiner: Joiner::new(tty, max_line_bytes) }
    }
}

impl Records for K8sFile {
    fn read(&mut self, lines: Lines, emit: &mut dyn FnMut(Record)) -> Kept {
        for line in lines {
            match head(line.content.as_bytes()) {
                Some(head) => {
                    let content = match &line.content {
                        Content::Text(text) => Content::Text(text.slice(head.len..)),
                        Content::Bytes(bytes) => Content::Bytes(bytes.slice(head.len..)),
                    };
                    let (time, channel) = (Some(head.time), Some(head.channel));
                    let (offset, cut) = (line.offset, line.cut);
                    let record = Record { content, offset, at: offset, time, channel, cut };
                    self.joiner.add(record, head.whole, emit);
                }
                None => {
                    self.joiner.give_up(emit);
                    let lost = line.content.as_bytes().len() as u64 + line.cut;
                    self.joiner.damage.met(line.offset, lost, lost);
                }
            }
        }
        self.joiner.kept()
    }

    /// The text and what is in front of it.
    fn longest(&self, max_line_bytes: usize) -> usize {
        max_line_bytes + 128
    }

    fn joiner(&mut self) -> Option<&mut Joiner> {
        Some(&mut self.joiner)
    }
}

/// What is in front of a text.
struct Head {
    time: Timestamp,
    channel: Channel,
    whole: bool,
    len: usize,
}

fn head(line: &[u8]) -> Option<Head> {
    let mut len = 0;
    let mut word = || {
        let from = len;
        let end = from + memchr(b' ', &line[from..line.len().min(from + 64)])?;
        len = end + 1;
        std::str::from_utf8(&line[from..end]).ok()
    };
    let time: Instant = word()?.parse().ok()?;
    let channel = match word()? {
        "stdout" => Channel::Stdout,
        "stderr" => Channel::Stderr,
        _ => return None,
    };
    let whole = match word()?.split(':').next()? {
        "F" => true,
        "P" => false,
        _ => return None,
    };
    Some(Head { time: Timestamp::from_nanos(time.as_nanosecond()), channel, whole, len })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Flush;

    fn read(records: &mut K8sFile, text: &[u8]) -> (Vec<(String, &'static str, String)>, Kept) {
        let mut seen = Vec::new();
        let kept = records.read(Lines::new(text.to_vec(), Arc::from(*b"\n"), 0), &mut |record| {
            let text = String::from_utf8_lossy(record.content.as_bytes()).into_owned();
            seen.push((text, record.channel.unwrap().as_str(), record.time.unwrap().to_string()));
        });
        (seen, kept)
    }

    #[test]
    fn lines_and_pieces_of_both_channels() {
        let text = b"2026-11-29T18:26:34.545012129+02:00 stdout F first\n\
                     2026-11-29T18:26:34Z stdout F \n\
                     2026-11-29T18:26:34Z stdout P par\n\
                     2026-11-29T18:26:35Z stderr P:x wro\n\
                     2026-11-29T18:26:36Z stdout F tial F\n\
                     2026-11-29T18:26:37Z stderr F ng\xff\n\
                     2026-11-29T18:26:38Z stdout P last\n";
        let mut records = K8sFile::new(false, 1 << 20);
        let (seen, kept) = read(&mut records, text);
        let shown: Vec<_> = seen.iter().map(|(text, channel, _)| (text.as_str(), *channel)).collect();
        let wanted =
            [("first", "stdout"), ("", "stdout"), ("partial F", "stdout"), ("wrong\u{fffd}", "stderr")];
        assert_eq!(shown, wanted);
        assert_eq!(seen[0].2, "2026-11-29T16:26:34.545012129Z");
        assert_eq!(seen[2].2, "2026-11-29T18:26:34.000Z", "of its first piece");
        assert_eq!(kept.from, Some((text.len() - "2026-11-29T18:26:38Z stdout P last\n".len()) as u64));
        let mut last = Vec::new();
        records.flush(Flush::End, &mut |record| last.push(record.content.as_bytes().to_vec()));
        assert_eq!(last, [b"last"]);
        assert_eq!(records.take_unreadable(), 0);
    }

    #[test]
    fn damage_is_counted_once_and_costs_no_neighbour() {
        let good = b"2026-11-29T18:26:34Z stdout F good\n";
        let damaged: [&[u8]; 6] = [
            b"{\"log\":\"x\"}",
            b"\0\0\0",
            b"2026-11-29T18:26:34Z",
            b"2026-11-29T18:26:34Z stdout",
            b"2026-11-29T18:26:34Z stdin F x",
            b"2026-11-29T18:26:34Z stdout G x",
        ];
        for damage in damaged {
            let text = [&good[..], damage, b"\n", good].concat();
            let mut records = K8sFile::new(false, 1 << 20);
            for _ in 0..2 {
                let (seen, _) = read(&mut records, &text);
                assert_eq!(seen.len(), 2, "{}", damage.escape_ascii());
            }
            assert_eq!(records.take_unreadable(), damage.len() as u64);
        }
    }
}
