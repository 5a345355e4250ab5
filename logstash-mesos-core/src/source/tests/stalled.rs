//! What happens to files while the output takes nothing.

use super::*;

#[tokio::test]
async fn files_that_rotate_while_the_output_is_down_all_arrive() {
    let (bed, log, stream, gate) = stalled("a1\n").await;
    append(&log, "a2\n");
    looks().await;
    for name in ["b", "c", "d"] {
        bed.rotate(3);
        append(&log, &format!("{name}1\n{name}2\n"));
    }
    looks().await;
    gate.open.send_replace(true);
    bed.expect(&["a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn files_that_are_removed_while_the_output_is_down_arrive_from_their_descriptors() {
    let (bed, log, stream, gate) = stalled("a1\n").await;
    append(&log, "a2\n");
    looks().await;
    // As Docker does with `max-file=1`: removed, and begun anew.
    for name in ["b", "c", "d"] {
        fs::remove_file(&log).unwrap();
        append(&log, &format!("{name}1\n"));
        looks().await;
    }
    gate.open.send_replace(true);
    bed.expect(&["a1", "a2", "b1", "c1", "d1"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn what_was_copied_and_cut_while_the_output_is_down_is_read_from_the_copy() {
    for compresses in [false, true] {
        let (bed, log, stream, gate) = stalled("a1\n").await;
        append(&log, "a2\n");
        looks().await;
        append(&log, "a3\nunfini");
        looks().await;
        append(&log, "shed\n");
        fs::copy(&log, bed.path("app.log.1")).unwrap();
        File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
        if compresses {
            compress(&bed.path("app.log.1"));
        }
        append(&log, "b1\n");
        looks().await;
        gate.open.send_replace(true);
        bed.expect(&["a1", "a2", "a3", "unfinished", "b1"]).await;
        assert!(stream.stop().await.lost.is_empty());
        // And no more of the copy after a restart.
        append(&log, "b2\n");
        let stream = bed.follow(&bed.positions(), quick());
        bed.expect(&["a1", "a2", "a3", "unfinished", "b1", "b2"]).await;
        stream.stop().await;
    }
}

#[tokio::test]
async fn what_there_is_no_room_for_is_given_up_oldest_first_and_counted() {
    // Two files, whatever they hold; 11 bytes without a name. What is in the output's hands already arrives.
    for (limits, removes, lost) in
        [(HoldLimits::new(2, 1 << 20), false, 6), (HoldLimits::new(100, 11), true, 12)]
    {
        let mut bed = Bed::new();
        bed.readers = Readers::with(1, "/proc".into(), limits).unwrap();
        let (log, positions) = (bed.path("app.log"), bed.positions());
        let (stream, gate) = bed.follow_through_gate(&positions);
        gate.open.send_replace(false);
        append(&log, "a\n");
        looks().await;
        for name in ["b", "c", "d", "e"] {
            if removes {
                fs::remove_file(&log).unwrap();
            } else {
                bed.rotate(4);
            }
            append(&log, &format!("{name}----\n"));
            looks().await;
        }
        gate.open.send_replace(true);
        let expected: &[&str] =
            if removes { &["a", "d----", "e----"] } else { &["a", "c----", "d----", "e----"] };
        bed.expect(expected).await;
        let seen = stream.stop().await;
        assert_eq!(seen.lost.get(&Lost::NoRoom), Some(&lost), "{:?}", seen.lost);
    }
}
