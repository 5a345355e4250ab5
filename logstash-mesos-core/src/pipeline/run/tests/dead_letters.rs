//! What cannot be delivered is kept.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn refused_records_become_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = start("output { probe { name => 'picky-1' } }", Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    pipeline.sender().send(batch(&["good", "bad", "unwritable", "good"], &outcomes)).await;
    while outcomes.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let status = &pipeline.outputs()[0];
    assert_eq!((status.delivered, status.rejected), (2, 2));
    assert_eq!(pipeline.counters().events_in(), 4);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered]);
    let letters = letters(dir.path());
    let [bad, unwritable] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((bad.text(), bad.reason.as_str(), bad.form), ("bad", "bad", Form::Record));
    assert!(unwritable.text().contains("unwritable") && unwritable.reason == "cannot be written");
    assert_eq!(
        (&*unwritable.configuration, &*unwritable.plugin, unwritable.form),
        ("main", "probe", Form::Event)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_back_to_their_output_alone_as_it_is_configured_now() {
    let dir = tempfile::tempdir().unwrap();
    let config = |kind: &str, other: &str, filter: &str| {
        format!(
            "filter {{ {filter} if [number] > 5 {{ drop {{ }} }} }}
             output {{ probe {{ id => 'p' name => '{kind}-back' }} probe {{ id => 'o' name => '{other}' }} }}"
        )
    };
    let pipeline = start(&config("picky", "ok-other", ""), Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    let mut some = batch(&["good", "bad", "unwritable", "unanswered"], &outcomes);
    for event in &mut some.events {
        let unanswered = event.fields().get("message") == Some(&Value::from("unanswered"));
        event.fields_mut().insert("number", if unanswered { Value::from("x") } else { Value::Int(1) });
    }
    pipeline.sender().send(some).await;
    while outcomes.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered]);
    assert_eq!(pipeline.counters().unanswered(), 1);
    // Both outputs refuse to write one of them.
    assert_eq!(pipeline.dead_letters().waiting.letters, 4);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ok-other").lines.lock().unwrap(), ["good", "bad"]);

    // An output that takes everything now, one that is there no more, and a filter that makes a number of it.
    let store = Store::of(dir.path(), "main");
    assert_eq!(store.take(&Selection::default(), Fate::Replay).unwrap(), 4);
    let config = config(
        "ok",
        "ok-new",
        "if [number] == 'x' { mutate { replace => { 'number' => 3 } convert => { 'number' => 'integer' } } }",
    );
    let pipeline = start(&config.replace("'o'", "'n'"), Some(dir.path()), 1);
    while pipeline.dead_letters().on_their_way.letters > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    let mut lines = sink("ok-back").lines.lock().unwrap().clone();
    lines.sort();
    assert_eq!(lines, ["bad", "unanswered"]);
    assert_eq!(*sink("ok-new").lines.lock().unwrap(), ["unanswered"], "what it had not refused");
    let letters = letters(dir.path());
    // Written neither by the one output, nor by those that the pipeline has instead of the other.
    assert!(letters.iter().all(|letter| letter.text().contains("unwritable")), "{letters:?}");
    assert_eq!(letters.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_without_its_output_stays_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "main");
    let letter = Letter::new("gone", "probe", "no", Form::Record, b"x");
    store.append("main", &mut [letter], &DeadLetterSettings::default(), &mut Appended::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(store.take(&Selection::default(), Fate::Replay).unwrap(), 1);
        let pipeline = start("output { probe { name => 'ok-alone' } }", Some(dir.path()), 1);
        while pipeline.dead_letters().on_their_way.letters > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
        let found = letters(dir.path());
        assert_eq!((found.len(), found[0].text()), (1, "x"));
        let reason = &found[0].reason;
        assert!(
            reason.contains("no output `probe` with the id `gone`") && reason.ends_with("; before: no"),
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_not_delivered_are_sent_by_the_next_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "main");
    let letter = Letter::new("p", "probe", "no", Form::Record, b"x");
    store.append("main", &mut [letter], &DeadLetterSettings::default(), &mut Appended::default()).unwrap();
    store.take(&Selection::default(), Fate::Replay).unwrap();
    let stuck = start("output { probe { id => 'p' name => 'stuck-back' } }", Some(dir.path()), 1);
    while stuck.outputs()[0].trouble.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The next one is at work before that has ended, and does not send them as well.
    let next = start("output { probe { id => 'p' name => 'ok-next' } }", Some(dir.path()), 1);
    assert_eq!(stuck.shutdown(Duration::from_millis(300)).await, Shutdown::GivenUp);
    while next.dead_letters().on_their_way.letters > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(next.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ok-next").lines.lock().unwrap(), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_as_a_dead_letter_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // Where their directory would be.
    std::fs::write(dir.path().join("dead-letters"), "").unwrap();
    let config = "filter { buggy { } } output { probe { name => 'picky-full' } }";
    let pipeline = start(config, Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    for message in ["bad", "unwritable", "poison pill", "fine"] {
        let before = outcomes.lock().unwrap().len();
        pipeline.sender().send(batch(&["good", message], &outcomes)).await;
        while outcomes.lock().unwrap().len() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let undelivered = Outcome::NotDelivered;
    assert_eq!(*outcomes.lock().unwrap(), [undelivered, undelivered, undelivered, Outcome::Delivered]);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
}
