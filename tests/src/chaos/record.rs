//! One record: which stream, which number, when it was written, and whether all of it is there.

#[expect(clippy::disallowed_types, reason = "writer and reader are of one build")]
use std::hash::{DefaultHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a line says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) stream: &'a str,
    pub(super) number: u64,
}

impl<'a> Record<'a> {
    /// Appends the line to `out`, its end included; `padding` is how many bytes longer than need be it is.
    pub(super) fn write(&self, out: &mut Vec<u8>, padding: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let body = format!("{} {} {now} {:x<padding$}", self.stream, self.number, "");
        out.extend_from_slice(format!("{body} {:016x}\n", sum(&body)).as_bytes());
    }

    /// Reads a line; none if it is damaged.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (body, stated) = line.rsplit_once(' ')?;
        if u64::from_str_radix(stated, 16).ok() != Some(sum(body)) {
            return None;
        }
        let mut words = body.split(' ');
        let stream = words.next()?;
        let number = words.next()?.parse().ok()?;
        Some(Self { stream, number })
    }
}

#[expect(clippy::disallowed_types, reason = "writer and reader are of one build")]
fn sum(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_damage_is_seen() {
        let mut line = Vec::new();
        let record = Record { stream: "a", number: 7 };
        record.write(&mut line, 5);
        let line = String::from_utf8(line).unwrap();
        assert_eq!(Record::read(line.trim_end()), Some(record));
        assert!(Record::read(&line.trim_end().replace('x', "y")).is_none());
        assert!(Record::read(&line[..10]).is_none());
    }
}
