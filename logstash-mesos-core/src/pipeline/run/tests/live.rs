//! Who looks at a pipeline sees each event with what became of it.

use super::*;
use crate::pipeline::live::{Fate, Live, Selection};

const FILTERS: &str = "filter {
  if [message] =~ /^drop/ { drop { } }
  if [message] =~ /^a,b/ { split { terminator => ',' } }
  if [message] =~ /^hold/ { hold { } }
  if [message] =~ /^poison/ { buggy { } }
  mutate { add_field => { 'seen' => 'yes' } }
} output { probe { name => 'ordered-live' } }";

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_seen_with_what_became_of_it_and_delivered_all_the_same() {
    let (live, dir) = (Live::default(), tempfile::tempdir().unwrap());
    let settings = RunSettings {
        pipeline_id: "host/a".to_owned(),
        live: live.clone(),
        data_dir: Some(dir.path().to_owned()),
        workers: 1,
        ..RunSettings::default()
    };
    let pipeline = start_with(FILTERS, settings);
    let sender = pipeline.sender();
    let outcomes = Outcomes::default();
    assert!(sender.send(batch(&["unseen"], &outcomes)).await);
    while pipeline.counters().events_out() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut look = live.look(Selection { configuration: "a".to_owned(), ..Selection::default() }).unwrap();
    let messages = ["plain", "drop it", "a,b", "hold it", "poison it", "last"];
    assert!(sender.send(batch(&messages, &outcomes)).await);
    let mut seen = Vec::new();
    for _ in messages {
        seen.push(tokio::time::timeout(GRACE, look.next()).await.expect("comes"));
    }
    drop(look);
    let shown: Vec<_> = seen.iter().map(|one| (one.after.len(), one.fate.clone())).collect();
    let dead = Fate::Dead("the plugin failed: filter bug".to_owned());
    assert_eq!(
        shown,
        [
            (1, Fate::Passed),
            (0, Fate::Dropped),
            (2, Fate::Passed),
            (0, Fate::Kept),
            (0, dead),
            (1, Fate::Passed)
        ]
    );
    for (one, message) in seen.iter().zip(messages) {
        assert!(one.before.contains(message) && !one.before.contains("\"seen\""), "{}", one.before);
        assert!(one.after.iter().all(|event| event.contains("\"seen\":\"yes\"")), "{:?}", one.after);
    }
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered; 2]);
    let lines = sink("ordered-live").lines.lock().unwrap().clone();
    assert_eq!(lines, ["unseen", "plain", "a", "b", "last", "hold it"]);
}
