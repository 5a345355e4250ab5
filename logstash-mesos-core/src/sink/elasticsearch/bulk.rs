//! What the bulk API answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::body::Incoming;
use serde::Deserialize;
use tracing::warn;

use super::super::{Aside, Delivered, Rejection};
use super::ElasticsearchSettings;

/// The body of an answer.
pub(super) struct Answer(Bytes);

impl Answer {
    pub(super) async fn read(body: Incoming) -> Result<Self, hyper::Error> {
        super::collect(body).await.map(Self)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[derive(Deserialize)]
struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<serde_json::Value>,
}

/// Sorts the records of a request by what became of them.
pub(super) fn outcome(
    answer: &Answer,
    records: usize,
    settings: &ElasticsearchSettings,
) -> Result<Delivered, String> {
    let body = &answer.0;
    // Nearly every answer begins like this (we ask for nothing else): no need to read on.
    if body.starts_with(b"{\"errors\":false") {
        return Ok(Delivered::default());
    }
    let bulk: Bulk = serde_json::from_slice(body).map_err(|error| {
        let excerpt: String = answer.text().chars().take(200).collect();
        format!("the answer is not that of a bulk API ({error}): {excerpt}")
    })?;
    let may_be_left_out = !bulk.errors && bulk.items.is_empty();
    if bulk.items.len() != records && !may_be_left_out {
        return Err(format!("{records} documents were sent, the answer speaks of {}", bulk.items.len()));
    }
    if !bulk.errors {
        return Ok(Delivered::default());
    }
    let mut delivered = Delivered::default();
    let mut aside = Aside { busy: true, ..Aside::default() };
    let (mut conflicts, mut example) = (0, None);
    for (record, item) in bulk.items.into_iter().enumerate() {
        let Some((_, item)) = item.into_iter().next() else { continue };
        match item.status {
            200..=299 => {}
            _ if settings.drop_error_types.iter().any(|kind| is_kind(&item, kind)) => {
                delivered.dropped.push(record);
                example.get_or_insert(item);
            }
            // There is such a document already, or a newer version of it: nothing to be done.
            409 if !settings.reject_codes.contains(&409) => {
                if !settings.silence.iter().any(|kind| is_kind(&item, kind)) {
                    conflicts += 1;
                    example.get_or_insert(item);
                }
            }
            status if settings.reject_codes.contains(&status) => {
                delivered.rejected.push(Rejection { record, reason: reason(&item) });
            }
            // Logstash sends these again for ever. A lack of privileges of one index stops no other.
            status if refuses_for_good(status) && !is_blocked(&item) => {
                delivered.rejected.push(Rejection { record, reason: reason(&item) });
            }
            status => {
                aside.busy &= status == 429 && !is_blocked(&item);
                if aside.records.is_empty() {
                    aside.reason = reason(&item);
                }
                aside.records.push(record);
            }
        }
    }
    delivered.aside = Some(aside).filter(|aside| !aside.records.is_empty());
    if let Some(example) = example {
        let reason = reason(&example);
        if !delivered.dropped.is_empty() {
            warn!(
                reason,
                count = delivered.dropped.len(),
                "Documents are dropped, as `drop_error_types` says"
            );
        }
        if conflicts > 0 {
            warn!(reason, count = conflicts, "Documents are there already");
        }
    }
    Ok(delivered)
}

/// Of the statuses of the client's fault those that do not pass by themselves, or by another password.
fn refuses_for_good(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 408 | 409 | 429)
}

fn is_blocked(item: &Item) -> bool {
    item.error.as_ref().is_some_and(|error| is_block(&error.to_string()))
}

/// Whether an error speaks of a block, of a full disk (`read-only-allow-delete`) or by hand: it may be lifted.
pub(super) fn is_block(error: &str) -> bool {
    ["cluster_block_exception", "read-only", "read_only"].iter().any(|word| error.contains(word))
}

fn is_kind(item: &Item, kind: &str) -> bool {
    item.error.as_ref().and_then(|error| error.get("type")).is_some_and(|have| have == kind)
}

fn reason(item: &Item) -> String {
    match &item.error {
        Some(error) => {
            let text: String = error.to_string().chars().take(1000).collect();
            format!("status {}: {text}", item.status)
        }
        None => format!("status {}", item.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &'static str, records: usize) -> Result<Delivered, String> {
        outcome(&Answer(Bytes::from_static(body.as_bytes())), records, &ElasticsearchSettings::default())
    }

    #[test]
    fn each_document_has_its_own_outcome() {
        let body = r#"{"took":1,"errors":true,"items":[{"create":{"status":201}},{"index":{"status":400,
            "error":{"type":"mapper_parsing_exception","reason":"no"}}},{"index":{"status":429}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception"}}},{"index":{"status":503}}]}"#;
        let delivered = answered(body, 5).unwrap();
        assert_eq!(delivered.left(), [2, 4]);
        assert!(!delivered.aside.unwrap().busy, "429 passes soon, 503 of one document may not");
        assert_eq!(delivered.rejected.len(), 1);
        assert_eq!(delivered.rejected[0].record, 1);
        assert!(delivered.rejected[0].reason.contains("mapper_parsing_exception"));
    }

    #[test]
    fn what_is_dropped_as_the_settings_have_it_is_named() {
        let settings = ElasticsearchSettings {
            drop_error_types: vec!["mapper_parsing_exception".to_owned()],
            ..ElasticsearchSettings::default()
        };
        let body = br#"{"errors":true,"items":[{"index":{"status":201}},{"index":{"status":400,
            "error":{"type":"mapper_parsing_exception","reason":"no"}}}]}"#;
        let delivered = outcome(&Answer(Bytes::from_static(body)), 2, &settings).unwrap();
        assert_eq!(delivered, Delivered { dropped: vec![1], ..Delivered::default() });
    }

    #[test]
    fn what_is_refused_for_good_ends_and_what_may_pass_waits() {
        let item = |status: u16, kind: &str| {
            format!(r#"{{"index":{{"status":{status},"error":{{"type":"{kind}","reason":"no"}}}}}}"#)
        };
        let items = [
            item(403, "security_exception"),
            item(403, "cluster_block_exception"),
            item(422, "odd_exception"),
            item(429, "cluster_block_exception"),
            item(401, "security_exception"),
            item(500, "io_exception"),
            item(413, "too_large"),
        ];
        let body = format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(","));
        let delivered = outcome(&Answer(Bytes::from(body)), 7, &ElasticsearchSettings::default()).unwrap();
        assert_eq!(delivered.left(), [1, 3, 4, 5]);
        assert!(delivered.aside.unwrap().reason.contains("cluster_block_exception"));
        assert_eq!(
            delivered.rejected.iter().map(|rejection| rejection.record).collect::<Vec<_>>(),
            [0, 2, 6]
        );
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_no_success() {
        assert_eq!(answered(r#"{"took":3,"errors":false,"items":[]}"#, 1), Ok(Delivered::default()));
        assert!(answered("<html>", 1).is_err());
        assert!(answered(r#"{"errors":true,"items":[]}"#, 1).is_err());
        let of_one = r#"{"took":3,"errors":false,"items":[{"index":{"status":201}}]}"#;
        assert_eq!(answered(of_one, 1), Ok(Delivered::default()));
        assert!(answered(of_one, 2).is_err());
    }
}
