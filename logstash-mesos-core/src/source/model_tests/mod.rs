//! Files of a stream against a simple model: whatever happens to them, and in whatever order, each line that was
//! written arrives once and in order, or its bytes are counted as lost.

mod disk;
mod world;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use self::disk::{Act, Micro};
use self::world::{Event, HALF, Happens, World, happens, tell};

/// Whatever a file goes through while half a line of it has been read: the line is whole in the end.
#[test]
fn half_a_line_is_never_given_out_while_a_file_can_complete_it() {
    use Happens::{Acts, Looks, Meanwhile, Restarts, Settles, Takes};
    let acts = [Act::CopiesAndCuts, Act::Renames, Act::Removes, Act::Compresses(1), Act::Compresses(2)];
    for (act, calls) in acts.into_iter().flat_map(|act| (0..12).map(move |calls| (act, calls))) {
        for between in [vec![Looks], vec![Takes(1)], vec![Looks, Restarts], vec![Takes(2), Settles(false)]] {
            let before = [Acts(Act::Writes(1)), Acts(Act::Renames), Acts(Act::Begins), Takes(3)];
            // Seen half-way, and once more when other files have come between.
            let after = [Acts(Act::CopiesAndCuts), Acts(Act::Writes(1)), Acts(Act::CopiesAndCuts), Looks];
            let story: Vec<Happens> =
                before.into_iter().chain([Meanwhile(act, calls)]).chain(between).chain(after).collect();
            tell(1, &story);
        }
    }
}

/// A file that is copied and cut while it is looked at for the first time after a start.
#[test]
fn a_copy_made_during_the_first_look_is_not_taken_for_older_than_the_stream() {
    use Happens::{Acts, Looks, Meanwhile, Restarts, Takes};
    for calls in 0..16 {
        for between in [vec![Looks], vec![Looks, Looks], vec![Takes(1)]] {
            let before = [Acts(Act::Writes(1)), Meanwhile(Act::CopiesAndCuts, calls), Restarts];
            let story: Vec<Happens> = before.into_iter().chain(between).chain([Restarts]).collect();
            tell(1, &story);
        }
    }
}

/// Rotation removes files, and new ones get their inodes.
#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut world = World::new(1);
    world.disk().inodes = Some(HashMap::new());
    let rotated = world.disk().path(1);
    fs::write(&rotated, "older than the stream\n").unwrap();
    world.disk().step(Micro::Line);
    while world.take() {}
    let before = fs::metadata(&rotated).unwrap().ino();
    fs::remove_file(&rotated).unwrap();
    // Twice between two looks: the second file is seen when it has been put aside.
    for step in [Micro::Rename, Micro::Reopen, Micro::Line, Micro::Shift(1), Micro::Rename, Micro::Reopen] {
        world.disk().step(step);
    }
    let again = fs::metadata(&rotated).unwrap().ino();
    // The youngest file may have got it in truth.
    world.disk().inodes = Some(HashMap::from([(again, before), (before, again)]));
    world.disk().step(Micro::Line);
    while world.take() {}
    world.deliver();
    assert_eq!((world.arrived.as_slice(), world.lost()), (&whole([0, 1, 2])[..], 0));
}

/// So many bytes were written when they were taken last.
fn whole(lines: impl IntoIterator<Item = u32>) -> Vec<Event> {
    lines.into_iter().map(|line| vec![2 * line, 2 * line + 1]).collect()
}

/// What is written between copy and cut comes once if it was read, is counted if it was seen, and makes no line that nobody
/// wrote; whether or not another process reads on.
#[test]
fn what_is_written_between_copy_and_cut_comes_once_or_is_counted() {
    for (in_time, restarts, compresses) in
        [0_u8, 1, 2, 3, 4, 5, 6, 7].map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0))
    {
        let mut world = World::new(1);
        world.look();
        world.happens(&Happens::Acts(Act::Writes(2)));
        world.disk().step(Micro::Beginning);
        while world.take() {}
        world.disk().step(Micro::Copy(0));
        world.disk().step(Micro::Copy(4));
        world.disk().step(Micro::Line);
        if in_time {
            while world.take() {}
        } else {
            world.look()
        }
        world.deliver();
        if restarts {
            world.restart();
        }
        world.disk().step(Micro::Cut);
        if compresses {
            world.disk().step(Micro::Pack(1, 4));
            world.disk().step(Micro::RemovePacked(1));
        }
        world.disk().step(Micro::Line);
        while world.take_if(true) {}
        world.deliver();
        let story = format!("in_time {in_time}, restarts {restarts}, compresses {compresses}");
        if in_time {
            assert_eq!((world.arrived, world.lost), (whole(0..5), 0), "{story}");
        } else {
            let mut arrived = whole([0, 1]);
            arrived.extend([vec![4], vec![8, 9]]);
            assert_eq!((&world.arrived, world.lost()), (&arrived, 3 * HALF), "{story}");
        }
    }
}

/// What the property test has found once, told in the shortest way.
#[test]
fn lines_that_were_cut_are_one_whatever_comes_between() {
    use Happens::{Acts, Crowds, Looks, Meanwhile, Restarts, Settles, Takes};
    let (copies, late) = (Acts(Act::CopiesAndCuts), Act::CopiesAndCutsLate);
    // A copy that nobody has seen comes between the beginning of a line and its end.
    tell(
        1,
        &[
            Acts(Act::Begins),
            Takes(3),
            Meanwhile(Act::CopiesAndCuts, 0),
            Takes(2),
            Settles(false),
            copies.clone(),
            Acts(Act::Writes(1)),
            copies.clone(),
        ],
    );
    for calls in 0..16 {
        // A file is cut once more behind a copy that goes on in it, and nothing holds what it had.
        let renamed = vec![Acts(Act::Renames); 6];
        let cut = [Acts(Act::Begins), copies.clone(), Looks, Acts(Act::Begins), copies.clone()];
        tell(1, &[&renamed[..], &cut[..], &[Meanwhile(late(0, false), calls), Looks]].concat());
        // An older copy is like the file that was cut, a younger one more so.
        tell(
            1,
            &[
                Acts(Act::Begins),
                copies.clone(),
                Acts(Act::Writes(1)),
                Meanwhile(late(1, true), calls),
                Looks,
            ],
        );
        // The file is opened, and closed at once for others, while it is copied and cut.
        tell(1, &[Crowds(true), Acts(Act::Writes(2)), Meanwhile(late(1, false), calls), Looks]);
        // It has grown since it was known which files there were; another process finds a copy that is shorter.
        let read_and_given_up = [Meanwhile(late(2, true), calls), Takes(3), Settles(false), Restarts];
        tell(1, &[&[Looks, Acts(Act::Writes(1))], &read_and_given_up[..]].concat());
        // What is given up of a file that is not there any more is counted once, also by the next process.
        let read_and_given_up = [Meanwhile(late(2, false), calls), Takes(3), Settles(false), Restarts];
        tell(1, &[&[copies.clone(), copies.clone()], &read_and_given_up[..]].concat());
    }
}

/// A program that writes in pieces is cut in the middle of a line, again and again: the line is one in the end, also where
/// its parts are read by different processes.
#[test]
fn a_line_that_goes_on_in_the_next_files_is_one() {
    for restarts in [false, true] {
        let mut world = World::new(1);
        world.look();
        world.happens(&Happens::Acts(Act::Writes(1)));
        for piece in ["00", "", "01", "-00", "01"] {
            world.disk().writer.write_all(piece.as_bytes()).unwrap();
            while world.take() {}
            world.deliver();
            world.happens(&Happens::Acts(Act::CopiesAndCuts));
            if restarts {
                world.restart();
            }
        }
        while world.take() {}
        world.deliver();
        assert_eq!(world.arrived, whole([0]));
        world.disk().writer.write_all(b"\n").unwrap();
        world.disk().written += 1;
        world.happens(&Happens::Acts(Act::Writes(1)));
        while world.take() {}
        // Given up, it is made once more.
        world.happens(&Happens::Settles(false));
        while world.take() {}
        world.deliver();
        assert_eq!((world.arrived.as_slice(), world.lost()), (&whole(0..3)[..], 0));
        // All of it has been told arrived: another process finds nothing to do.
        world.restart();
        assert!(!world.take());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

    #[test]
    fn every_line_arrives_once_or_is_counted(
        most_open in 1..3_usize,
        story in prop::collection::vec(happens(), 1..40),
    ) {
        tell(most_open, &story);
    }
}
