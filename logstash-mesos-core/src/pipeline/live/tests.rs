use super::*;
use crate::event::{Origin, StreamKey};

/// Three lines of one file of a container.
fn events(container: &str) -> Vec<Event> {
    let event = |offset: u64| {
        let mut event = Event::from_message(format!("line {offset} s3cret").into(), Timestamp::new(0, 0));
        let stream = format!("docker/nginx:1.27#0:container:{container}:file:/a.log:1-2");
        event.origin = Some(Origin { stream: StreamKey(Arc::from(stream)), offset, ordinal: 0 });
        event
    };
    (0..3).map(event).collect()
}

fn selection(configuration: &str, streams: &str) -> Selection {
    Selection { configuration: configuration.to_owned(), streams: streams.to_owned() }
}

#[test]
fn nobody_costs_nothing_and_everybody_gets_what_he_asked_for() {
    let live = Live::default();
    let window = live.window("docker/nginx:1.27", vec!["s3cret".to_owned(), "e".to_owned()]);
    assert!(window.audience().is_none());
    let all = live.look(selection("nginx:1.27", "")).unwrap();
    let one = live.look(selection("", "container:abc:")).unwrap();
    let other = live.look(selection("docker/nginx:1.27", "container:abcd:")).unwrap();
    let stranger = live.look(selection("nginx", "")).unwrap();
    let mut looks = [all, one, other, stranger];
    let mut audience = window.audience().expect("somebody looks");
    assert!(audience.is_waiting());
    let mut events = events("abc");
    let rest = events.split_off(1);
    let sample = audience.see(&events).expect("it goes alone");
    sample.show(&[], Fate::Dropped);
    assert!(audience.see(&rest).is_none(), "several at a time are not told apart");
    let got = looks.each_mut().map(|look| (look.next_now(), look.take_left_out()));
    let [(Some(seen), 2), (Some(same), 2), (None, 0), (None, 0)] = &got else { panic!("{got:?}") };
    assert_eq!(seen, same);
    assert!(seen.before.contains("line 0 ********"), "{}", seen.before);
    assert_eq!((&*seen.pipeline_id, &seen.fate), ("docker/nginx:1.27", &Fate::Dropped));
    drop(looks);
    assert!(window.audience().is_none());
}

#[test]
fn who_does_not_keep_up_gets_a_number_and_nobody_waits() {
    let live = Live::default();
    let window = live.window("a", vec![]);
    let mut look = live.look(Selection::default()).unwrap();
    let mut audience = window.audience().unwrap();
    let event = Event::from_message("x".into(), Timestamp::new(0, 0));
    for _ in 0..1000 {
        if let Some(sample) = audience.see(std::slice::from_ref(&event)) {
            sample.show(std::slice::from_ref(&event), Fate::Passed);
        }
    }
    let mut seen = 0;
    while look.next_now().is_some() {
        seen += 1;
    }
    assert!((48..=WAITING as u64).contains(&seen), "{seen}");
    assert_eq!(seen + look.take_left_out(), 1000);
}

#[test]
fn what_is_too_large_is_told_by_its_size() {
    let live = Live::default();
    let window = live.window("a", vec![]);
    let mut look = live.look(Selection::default()).unwrap();
    let event = Event::from_message("x".repeat(MOST_BYTES).into(), Timestamp::new(0, 0));
    let sample = window.audience().unwrap().see(std::slice::from_ref(&event)).unwrap();
    sample.show(&[event], Fate::Passed);
    let seen = look.next_now().unwrap();
    assert!(seen.before.is_empty() && seen.after.is_empty() && seen.byte_size > MOST_BYTES, "{seen:?}");
}

#[test]
fn so_many_may_look() {
    let live = Live::default();
    let looks: Vec<_> = (0..MOST_VIEWERS).map(|_| live.look(Selection::default()).unwrap()).collect();
    assert!(live.look(Selection::default()).unwrap_err().to_string().contains("16 look"));
    drop(looks);
    assert!(live.look(Selection::default()).is_ok());
}
