//! Answers questions about dead letters.

use crate::executor::run::ShipperHandle;
use crate::pipeline::dead_letter::{Fate, Letter, Listing, Query, Selection};
use crate::protocol::{AskDeadLetters, DeadLetter, DeadLetterAction, DeadLetters};

pub(super) async fn answer(shipper: &ShipperHandle, asked: AskDeadLetters) -> DeadLetters {
    let (request_id, action) = (asked.request_id, asked.action());
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let which = Selection { plugin_id: some(asked.plugin_id), ids: asked.ids, after: asked.after };
    let query = Query { configuration: some(asked.configuration), which };
    let count = |count| DeadLetters { count, ..DeadLetters::default() };
    let done = match action {
        DeadLetterAction::List => shipper.dead_letters(query, limit).await.map(listed),
        DeadLetterAction::Replay => shipper.take_dead_letters(query, Fate::Replay).await.map(count),
        DeadLetterAction::Discard => shipper.take_dead_letters(query, Fate::Discard).await.map(count),
        DeadLetterAction::Unspecified => {
            let error =
                "this executor does not know what is asked of it: it is older than the scheduler".to_owned();
            return DeadLetters { request_id, error, ..DeadLetters::default() };
        }
    };
    match done {
        Ok(done) => DeadLetters { request_id, ..done },
        Err(error) => DeadLetters { request_id, error: error.to_string(), ..DeadLetters::default() },
    }
}

fn listed(listing: Listing) -> DeadLetters {
    DeadLetters {
        more: listing.more,
        damaged_lines: listing.damaged.len() as u64,
        letters: listing.letters.into_iter().map(to_wire).collect(),
        ..DeadLetters::default()
    }
}

fn to_wire(letter: Letter) -> DeadLetter {
    DeadLetter {
        source: letter.source.to_string(),
        record: letter.text().to_owned(),
        id: letter.id,
        at: letter.at,
        configuration: letter.configuration,
        plugin_id: letter.plugin_id,
        plugin: letter.plugin,
        reason: letter.reason,
    }
}
