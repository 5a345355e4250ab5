//! A plugin that panics costs what it was at work on, and nothing else.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_plugin_cannot_bear_is_a_dead_letter_and_the_others_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let config = "filter { buggy { id => 'b' } } output { probe { id => 'x' name => 'ordered-panic' } }";
    let pipeline = start(config, Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    for _ in 0..2 {
        assert!(sender.send(batch(&["one", "poison pill", "two", "explosive", "three"], &outcomes)).await);
    }
    while outcomes.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*sink("ordered-panic").lines.lock().unwrap(), ["one", "two", "three", "one", "two", "three"]);
    assert_eq!(pipeline.counters().failures(), 4);
    let failure = pipeline.counters().last_failure().unwrap();
    assert!(failure.contains("`x`") && failure.contains("output bug"), "{failure}");
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered; 2]);
    let letters = letters(dir.path());
    assert_eq!(letters.len(), 4);
    let has = |plugin_id: &str, text: &str, reason: &str| {
        let one = |letter: &&Letter| letter.plugin_id == plugin_id && letter.text().contains(text);
        letters.iter().filter(one).filter(|letter| letter.reason.contains(reason)).count()
    };
    assert_eq!(has("b", "poison", "filter bug"), 2, "{letters:?}");
    assert_eq!(has("x", "explosive", "output bug"), 2, "{letters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_decoded_is_given_up_and_its_worker_goes_on() {
    let pipeline = start("output { probe { name => 'ok-decode' } }", None, 1);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    let mut broken = batch(&["before"], &outcomes);
    broken.deferred = Some(Deferred::new(|_| panic!("codec bug")));
    assert!(sender.send(broken).await);
    assert!(sender.send(batch(&["after"], &outcomes)).await);
    while outcomes.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pipeline.counters().failures(), 1);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(sink("ok-decode").lines.lock().unwrap().last().unwrap(), "after");
    let outcomes = outcomes.lock().unwrap();
    assert!(
        outcomes.contains(&Outcome::NotDelivered) && outcomes.contains(&Outcome::Delivered),
        "{outcomes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_panics_gives_up_its_batch_and_gets_the_next() {
    let pipeline = start("output { probe { name => 'buggy-1' } }", None, 1);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    for (count, message) in ["first", "second"].into_iter().enumerate() {
        assert!(sender.send(batch(&[message], &outcomes)).await);
        while outcomes.lock().unwrap().len() <= count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::NotDelivered, Outcome::Delivered]);
    assert_eq!(*sink("buggy-1").lines.lock().unwrap(), ["second"]);
    assert_eq!(pipeline.outputs()[0].trouble, None);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_panics_is_started_again() {
    let pipeline = start("input { unsteady { } } output { probe { name => 'ok-input' } }", None, 1);
    pipeline.inputs_ended().await;
    assert_eq!((pipeline.counters().failures(), pipeline.counters().failed_inputs()), (2, 0));
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ok-input").lines.lock().unwrap(), ["at last"]);
}
