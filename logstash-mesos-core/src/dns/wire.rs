//! Questions and answers as they travel.

use hickory_proto::op::{Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// How a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What is known under the name: addresses, names, or `HOST:PORT` of a service; perhaps nothing.
    Found(Vec<String>),
    /// There is no such name.
    NoSuchName,
    /// The answer is too long for a datagram.
    Truncated,
    /// The server cannot or does not want to say.
    Refused,
}

/// A question, and the message that asks it.
#[derive(Debug)]
pub(super) struct Question {
    id: u16,
    query: Query,
    pub(super) message: Vec<u8>,
}

impl Question {
    /// Asks for the records of `name`. Nothing for a name that no server can be asked for.
    pub(super) fn new(id: u16, name: &str, kind: RecordType) -> Option<Self> {
        // The bytes as they are: a name of a log is not converted, nor has it escapes.
        let labels = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
        let query = Query::query(Name::from_labels(labels).ok()?, kind);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        Some(Self { id, query, message: message.to_vec().ok()? })
    }

    /// The answer in a message. Nothing when the message is broken or answers something else.
    pub(super) fn answer(&self, message: &[u8]) -> Option<Answer> {
        let mut decoder = BinDecoder::new(message);
        let Header { metadata, counts } = Header::read(&mut decoder).ok()?;
        if metadata.id != self.id || metadata.message_type != MessageType::Response {
            return None;
        }
        let asked = Message::read_queries(&mut decoder, counts.queries.into()).ok()?;
        if asked.iter().any(|asked| *asked != self.query) {
            return None;
        }
        match metadata.response_code {
            ResponseCode::NoError if metadata.truncation => return Some(Answer::Truncated),
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => return Some(Answer::NoSuchName),
            _ => return Some(Answer::Refused),
        }
        // What follows the answers says nothing here, so that it may be broken.
        let (records, ..) =
            Message::read_records(&mut decoder, counts.answers.into(), false, OpCode::Query).ok()?;
        // Aliases are followed in the order in which servers put them, and once more for those that do not.
        let mut wanted = self.query.name();
        let mut found = Vec::new();
        for _ in 0..2 {
            for record in records.iter().filter(|record| record.dns_class == DNSClass::IN) {
                if record.name != *wanted {
                    continue;
                }
                match &record.data {
                    data if record.record_type() == self.query.query_type() => found.push(text(data)?),
                    RData::CNAME(alias) => wanted = &alias.0,
                    _ => {}
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        Some(Answer::Found(found))
    }
}

/// The name under which an address has its own name: complete, as the point at its end says.
pub(crate) fn reverse_name(address: std::net::IpAddr) -> String {
    Name::from(address).to_ascii()
}

fn text(data: &RData) -> Option<String> {
    match data {
        RData::A(address) => Some(address.0.to_string()),
        RData::AAAA(address) => Some(address.0.to_string()),
        RData::PTR(name) => {
            let labels: Vec<_> = name.0.iter().map(String::from_utf8_lossy).collect();
            Some(labels.join("."))
        }
        // Priorities and weights are left out: whoever asks for nodes of a cluster uses all of them.
        RData::SRV(service) => {
            Some(format!("{}:{}", service.target.to_ascii().trim_end_matches('.'), service.port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CNAME: u16 = 5;

    fn message(question: &Question, flags: u16, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut out = question.message.clone();
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
        let asked = Question::new(7, "www.example.org", RecordType::A).unwrap();
        // The name of the question is at 12, its `example.org` at 16.
        let alias: &[u8] = &[1, b'h', 0xc0, 16];
        let records: [(&[u8], u16, &[u8]); 3] =
            [(&[0xc0, 12], CNAME, alias), (alias, 1, &[10, 0, 0, 1]), (alias, 1, &[10, 0, 0, 2])];
        let found = Answer::Found(vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]);
        assert_eq!(asked.answer(&message(&asked, 0, &records)), Some(found.clone()));
        // The alias last.
        let turned = [records[1], records[2], records[0]];
        assert_eq!(asked.answer(&message(&asked, 0, &turned)), Some(found));
        assert_eq!(asked.answer(&message(&asked, 0, &[])), Some(Answer::Found(vec![])));
        assert_eq!(asked.answer(&message(&asked, 3, &[])), Some(Answer::NoSuchName));
        assert_eq!(asked.answer(&message(&asked, 2, &[])), Some(Answer::Refused));
        assert_eq!(asked.answer(&message(&asked, 0x200, &[])), Some(Answer::Truncated));
        // An answer to another question, and a name that leads to itself.
        let other = Question::new(7, "www.example.com", RecordType::A).unwrap();
        assert_eq!(asked.answer(&message(&other, 0, &[])), None);
        assert_eq!(asked.answer(&message(&asked, 0, &[(&[0xc0, 33], 1, &[1, 2, 3, 4])])), None);
    }

    #[test]
    fn names_that_cannot_be_asked_for() {
        assert!(Question::new(1, &"x".repeat(64), RecordType::A).is_none());
        assert!(Question::new(1, &"abc.".repeat(64), RecordType::A).is_none());
        assert!(Question::new(1, "a..b.", RecordType::A).is_some());
    }

    #[test]
    fn addresses_have_names() {
        assert_eq!(reverse_name("10.1.2.3".parse().unwrap()), "3.2.1.10.in-addr.arpa.");
        let name = reverse_name("2001:db8::1".parse().unwrap());
        assert_eq!(name, format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa.", "0.".repeat(23)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let asked = Question::new(7, "www.example.org", RecordType::A).unwrap();
            let mut all = asked.message.clone();
            all[2] = 0x80;
            all[7] = 3;
            all.extend_from_slice(&bytes);
            let _any = asked.answer(&all);
            let _any = asked.answer(&bytes);
        }
    }
}
