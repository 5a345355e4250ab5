//! Questions and answers as they travel (RFC 1035).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The IPv4 addresses of a name.
    A = 1,
    /// The name of an address.
    Ptr = 12,
    /// The IPv6 addresses of a name.
    Aaaa = 28,
}

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// How a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What is known under the name: addresses, or names; perhaps nothing.
    Found(Vec<String>),
    /// There is no such name.
    NoSuchName,
    /// The answer is too long for a datagram.
    Truncated,
    /// The server cannot or does not want to say.
    Refused,
}

/// A question with its id. Nothing for a name that no server can be asked for.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 18);
    out.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).ok().filter(|len| *len < 64)?);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() > 12 + 255 {
        return None;
    }
    out.extend_from_slice(&(kind as u16).to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    Some(out)
}

/// The answer to `question` in a message. Nothing when the message is broken or answers something else.
pub(super) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let id = reader.take(2)?;
    let flags = reader.u16()?;
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.take(4)?;
    if id != question.get(..2)? || flags & 0x8000 == 0 {
        return None;
    }
    let mut asked = Reader { message: question, at: 12 };
    let (name, kind) = (asked.name()?, asked.u16()?);
    for _ in 0..questions {
        if !reader.name()?.eq_ignore_ascii_case(&name) || reader.u16()? != kind {
            return None;
        }
        reader.take(2)?;
    }
    match flags & 0xf {
        0 if flags & 0x200 != 0 => return Some(Answer::Truncated),
        0 => {}
        3 => return Some(Answer::NoSuchName),
        _ => return Some(Answer::Refused),
    }
    let mut records = Vec::new();
    for _ in 0..answers {
        records.push(reader.record()?);
    }
    // Aliases are followed in the order in which servers put them, and once more for those that do not.
    let mut wanted = name;
    let mut found = Vec::new();
    for _ in 0..2 {
        for record in records.iter().filter(|record| record.class == INTERNET) {
            if record.name.eq_ignore_ascii_case(&wanted) {
                if record.kind == kind {
                    found.push(reader.data(record)?);
                } else if record.kind == CNAME {
                    wanted = reader.data(record)?;
                }
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    Some(Answer::Found(found))
}

/// The name under which an address has its own name.
pub(super) fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(72);
            for byte in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 0xf, byte >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

struct Record {
    name: String,
    kind: u16,
    class: u16,
    /// Where its data is in the message.
    start: usize,
    len: usize,
}

impl<'m> Reader<'m> {
    fn take(&mut self, len: usize) -> Option<&'m [u8]> {
        let bytes = self.message.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name, whose end may be elsewhere in the message.
    fn name(&mut self) -> Option<String> {
        let mut name = Vec::new();
        let mut after = None;
        // A message of 64 KiB has no more pointers than this; a loop has.
        for _ in 0..256 {
            let len = usize::from(*self.take(1)?.first()?);
            match len {
                0 => {
                    self.at = after.unwrap_or(self.at);
                    return Some(String::from_utf8_lossy(&name).into_owned());
                }
                1..64 => {
                    if !name.is_empty() {
                        name.push(b'.');
                    }
                    name.extend_from_slice(self.take(len)?);
                }
                192.. => {
                    let low = usize::from(*self.take(1)?.first()?);
                    after.get_or_insert(self.at);
                    self.at = (len & 0x3f) << 8 | low;
                }
                _ => return None,
            }
        }
        None
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        self.take(4)?;
        let len = usize::from(self.u16()?);
        let start = self.at;
        self.take(len)?;
        Some(Record { name, kind, class, start, len })
    }

    fn data(&self, record: &Record) -> Option<String> {
        let mut data = Reader { message: self.message, at: record.start };
        match record.kind {
            1 => {
                <[u8; 4]>::try_from(data.take(record.len)?).ok().map(|four| Ipv4Addr::from(four).to_string())
            }
            28 => {
                <[u8; 16]>::try_from(data.take(record.len)?).ok().map(|all| Ipv6Addr::from(all).to_string())
            }
            _ => data.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(question: &[u8], flags: u16, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut out = question.to_vec();
        out[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
        out[7] = u8::try_from(records.len()).unwrap();
        for (name, kind, data) in records {
            out.extend_from_slice(name);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 9, 0, u8::try_from(data.len()).unwrap()]);
            out.extend_from_slice(data);
        }
        out
    }

    #[test]
    fn answers_are_read() {
        let asked = question(7, "www.example.org", Kind::A).unwrap();
        // The name of the question is at 12, its `example.org` at 16.
        let alias: &[u8] = &[1, b'h', 0xc0, 16];
        let records: [(&[u8], u16, &[u8]); 3] =
            [(&[0xc0, 12], CNAME, alias), (alias, 1, &[10, 0, 0, 1]), (alias, 1, &[10, 0, 0, 2])];
        let found = Answer::Found(vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]);
        assert_eq!(answer(&asked, &message(&asked, 0, &records)), Some(found.clone()));
        // The alias last.
        let turned = [records[1], records[2], records[0]];
        assert_eq!(answer(&asked, &message(&asked, 0, &turned)), Some(found));
        assert_eq!(answer(&asked, &message(&asked, 0, &[])), Some(Answer::Found(vec![])));
        assert_eq!(answer(&asked, &message(&asked, 3, &[])), Some(Answer::NoSuchName));
        assert_eq!(answer(&asked, &message(&asked, 2, &[])), Some(Answer::Refused));
        assert_eq!(answer(&asked, &message(&asked, 0x200, &[])), Some(Answer::Truncated));
        // An answer to another question, and a name that leads to itself.
        let other = question(7, "www.example.com", Kind::A).unwrap();
        assert_eq!(answer(&asked, &message(&other, 0, &[])), None);
        assert_eq!(answer(&asked, &message(&asked, 0, &[(&[0xc0, 33], 1, &[1, 2, 3, 4])])), None);
    }

    #[test]
    fn names_that_cannot_be_asked_for() {
        assert_eq!(question(1, &"x".repeat(64), Kind::A), None);
        assert_eq!(question(1, &"abc.".repeat(64), Kind::A), None);
        assert!(question(1, "a..b.", Kind::A).is_some());
    }

    #[test]
    fn addresses_have_names() {
        assert_eq!(reverse_name("10.1.2.3".parse().unwrap()), "3.2.1.10.in-addr.arpa");
        let name = reverse_name("2001:db8::1".parse().unwrap());
        assert_eq!(name, format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let asked = question(7, "www.example.org", Kind::A).unwrap();
            let mut all = asked.clone();
            all[2] = 0x80;
            all[7] = 3;
            all.extend_from_slice(&bytes);
            let _any = answer(&asked, &all);
            let _any = answer(&asked, &bytes);
        }
    }
}
